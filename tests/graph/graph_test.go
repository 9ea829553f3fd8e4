package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestFloors: no package imports one of a floor above its own, or of the tests, but for the exceptions.
func TestFloors(t *testing.T) {
	nodes, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) < 30 {
		t.Fatalf("only %d packages", len(nodes))
	}
	excused := map[string]bool{}
	for _, n := range nodes {
		for _, imported := range n.imports {
			top, _, _ := strings.Cut(imported, "/")
			switch f := floor(imported); {
			case exceptions[n.path] == top:
				excused[n.path] = true
			case f < 0, f > floor(n.path):
				t.Errorf("%s imports %s, which is above it", n.path, imported)
			}
		}
	}
	for path := range exceptions {
		if !excused[path] {
			t.Errorf("the exception of %s is not needed", path)
		}
	}
}

// TestDocument: the graph in ARCHITECTURE.md is that of the code.
func TestDocument(t *testing.T) {
	const begin, end = "<!-- make graph -->\n```\n", "```\n<!-- end -->"
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), begin)
	have, _, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("ARCHITECTURE.md has no graph between %q and %q", begin, end)
	}
	nodes, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, n := range nodes {
		fmt.Fprintln(&want, n)
	}
	if diff := cmp.Diff(want.String(), have); diff != "" {
		t.Errorf("ARCHITECTURE.md differs from `make graph` (-code +document)\n%s", diff)
	}
}

// TestLinter: for each floor the linter denies the floors above it, and the tests, and nothing else.
func TestLinter(t *testing.T) {
	text, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var cfg struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]struct {
						Files []string
						Deny  []struct{ Pkg string }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &cfg); err != nil {
		t.Fatal(err)
	}
	for i, f := range floors {
		rule := cfg.Linters.Settings.Depguard.Rules["floor-"+f]
		if want := "**/" + f + "/**/*.go"; !slices.Contains(rule.Files, want) {
			t.Errorf("floor-%s is for %v, want %s", f, rule.Files, want)
		}
		var have, want []string
		for _, d := range rule.Deny {
			have = append(have, d.Pkg)
		}
		for _, above := range append(slices.Clone(floors[i+1:]), "tests") {
			want = append(want, module+above)
		}
		if !slices.Equal(have, want) {
			t.Errorf("floor-%s denies %v, want %v", f, have, want)
		}
	}
}
