package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPrivate(t *testing.T) {
	Require(t, Root)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	read := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo, err := Private(dir)
	if err != nil {
		t.Fatal(err)
	}
	if read() != "before" {
		t.Error("it is no copy")
	}
	if err := os.WriteFile(file, []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if read() != "before" {
		t.Error("what was written came through")
	}
	if _, err := Private(filepath.Join(dir, "missing")); err == nil {
		t.Error("it covers what is not there")
	}
}
