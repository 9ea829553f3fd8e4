package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// TestInvalid compares the error of each testdata/invalid-NAME.yaml with invalid-NAME.txt beside it.
func TestInvalid(t *testing.T) {
	t.Chdir("testdata") // files that a configuration names are relative to it
	files, err := filepath.Glob("invalid-*.yaml")
	if err != nil || len(files) < 35 {
		t.Fatalf("%d files, %v; every rule needs one", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(name, data, nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T %v, want a *Error", err, err)
			}
			for _, p := range e.Problems {
				if p.Message == "" || p.Remedy == "" {
					t.Errorf("the message lacks a part: %+v", p)
				}
			}
			got, golden := err.Error()+"\n", strings.TrimSuffix(file, ".yaml")+".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./configs -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestInvalidPairs finds messages whose file is gone. The other way round is TestInvalid's.
func TestInvalidPairs(t *testing.T) {
	texts, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if _, err := os.Stat(strings.TrimSuffix(text, ".txt") + ".yaml"); err != nil {
			t.Errorf("%s belongs to no file: %v", text, err)
		}
	}
}
