package servers

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

var update = flag.Bool("update", false, "write what is said now to testdata")

// TestText holds what is said about each configuration of testdata against the text beside it.
func TestText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			a := For(load(t, file))
			var got strings.Builder
			for _, w := range a.Warnings {
				got.WriteString("warning: " + w + "\n")
			}
			got.WriteString(a.Text())
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./configs/servers -update", err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func load(t *testing.T, file string) *configs.Config {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestLines finds that every line is one: what an admin copies into a file of his must not be more than it looks.
func TestLines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a := For(load(t, file))
		for _, s := range a.Servers {
			for _, f := range s.Files {
				for _, line := range append(f.Lines, f.Remarks...) {
					if line == "" || strings.TrimSpace(line) != line || strings.ContainsAny(line, "\n\r#") {
						t.Errorf("%s: %s: %q", file, f.Program, line)
					}
				}
			}
		}
		b, err := json.Marshal(a)
		if err != nil || strings.Contains(string(b), `"named":""`) {
			t.Errorf("%s: %s, %v", file, b, err)
		}
	}
}

// TestNothing has a configuration without slices.
func TestNothing(t *testing.T) {
	cfg, err := configs.Parse("x", []byte("vips: []\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := For(cfg)
	if len(a.Servers)+len(a.Firewall)+len(a.Warnings) != 0 || a.Text() != "" {
		t.Errorf("%+v", a)
	}
}
