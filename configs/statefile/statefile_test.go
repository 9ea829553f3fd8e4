package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

var file = File[string]{Name: "f.json", What: "a state", Decode: func(b []byte) (string, error) {
	if string(b) == "broken" {
		return "", errors.New("broken")
	}
	return string(b), nil
}}

// TestSnapshot: what was there before comes back, whatever it was.
func TestSnapshot(t *testing.T) {
	tests := []struct {
		name string
		size int64 // of a file that holds nothing but zeros; 0: content
		text string
	}{
		{"OK", 0, "text"}, {"OK nothing", 0, ""}, {"OK broken", 0, "broken"}, {"OK huge", 1 << 40, ""},
	}
	for _, tt := range tests {
		for _, written := range []bool{true, false} {
			dir := t.TempDir()
			path := filepath.Join(dir, file.Name)
			if tt.text != "" || tt.size > 0 {
				if err := os.WriteFile(path, []byte(tt.text), 0o640); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(path, max(tt.size, int64(len(tt.text)))); err != nil {
					t.Fatal(err)
				}
			}
			restore, err := file.Snapshot(dir)
			if err != nil {
				t.Fatal(err)
			}
			if written {
				if err := file.Write(dir, []byte("new")); err != nil {
					t.Fatal(err)
				}
			}
			if err := restore(); err != nil {
				t.Fatalf("%s, written %v: %v", tt.name, written, err)
			}
			info, err := os.Stat(path)
			switch {
			case tt.text == "" && tt.size == 0:
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v", tt.name, err)
				}
			case err != nil || info.Size() != max(tt.size, int64(len(tt.text))):
				t.Errorf("%s, written %v: %v, %v", tt.name, written, info, err)
			}
		}
	}
}
