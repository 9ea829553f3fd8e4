package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it is about what root does with others' files")
	}
}

// TestRootTrusts: which directories root opens, and whose owner it becomes.
func TestRootTrusts(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name     string
		uid, gid int
		mode     uint32
		opens    bool
		foreign  bool  // root becomes the owner
		err      error // of Foreign
	}{
		{"OK root's", 0, 0, 0o750, true, false, nil},
		{"OK root's, readable for all", 0, 4712, 0o755, true, false, nil},
		{"OK root's group is root's", 0, 0, 0o770, true, false, nil},
		{"OK the services'", 4711, 4712, 0o750, false, true, nil},
		{"bad sticky", 0, 0, 0o1777, false, false, nil},
		{"bad group", 0, 4712, 0o770, false, false, nil},
		{"bad everybody's", 4711, 4712, 0o757, false, false, ErrForeign},
		{"bad root's group", 4711, 0, 0o750, false, false, ErrForeign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, tt.uid, tt.gid), unix.Chmod(dir, tt.mode)); err != nil {
				t.Fatal(err)
			}
			d, err := Open(dir)
			if err == nil {
				d.Close()
			}
			if (err == nil) != tt.opens || err != nil && !errors.Is(err, ErrForeign) {
				t.Errorf("Open: %v", err)
			}
			o, err := Foreign(dir)
			if (o != nil) != tt.foreign || !errors.Is(err, tt.err) {
				t.Errorf("Foreign: %+v, %v", o, err)
			}
			if o != nil && (o.uid != tt.uid || o.gid != tt.gid) {
				t.Errorf("the owner is %d, %d", o.uid, o.gid)
			}
		})
	}
	if o, err := Foreign(filepath.Join(t.TempDir(), "missing")); o != nil || err != nil {
		t.Errorf("a missing directory: %+v, %v", o, err)
	}
	// A user that the host knows comes with its own group, whatever the directory's is.
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 4712); err != nil {
		t.Fatal(err)
	}
	if o, err := Foreign(dir); err != nil || o.gid != 65534 || o.home == "" {
		t.Errorf("nobody: %+v, %v", o, err)
	}
}

// TestReplacedDirectory: a directory that is exchanged after it was opened is not the one that is used.
func TestReplacedDirectory(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "state")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(os.Rename(dir, dir+"2"), os.Mkdir(dir, 0o750), os.WriteFile(filepath.Join(dir, "f"), []byte("false"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read("f", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read: %v", err)
	}
	if err := d.Replace("f", []byte("true"), 0o640); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(base, "state2", "f")); err != nil || string(b) != "true" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := os.ReadFile(d.Join("f")); err != nil || string(b) != "true" {
		t.Errorf("by Join: %q, %v", b, err)
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), []byte("text"), 0o600), os.Symlink(at("file"), at("link")),
		unix.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"link", "pipe", "dir"} {
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREATE | os.O_TRUNC} {
			if _, err := d.OpenFile(name, flag, 0o600); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), at(name)) {
				t.Errorf("%s, flags %#x: %v", name, flag, err)
			}
		}
	}
	if b, err := d.Read("file", 4); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := d.Read("file", 3); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
	if f, err := d.OpenFile("file", os.O_WRONLY|os.O_TRUNC, 0); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if b, err := d.Read("file", 4); err != nil || len(b) > 0 {
		t.Errorf("after O_TRUNC: %q, %v", b, err)
	}
	for name, want := range map[string]error{"link": nil, "file": nil, "pipe": ErrNotRegular, "dir": ErrNotRegular} {
		if _, err := ReadRegular(at(name), 10); !errors.Is(err, want) {
			t.Errorf("ReadRegular of %s: %v", name, err)
		}
	}
	if _, err := ReadRegular("/dev/zero", 10); !errors.Is(err, ErrNotRegular) {
		t.Errorf("ReadRegular of a device: %v", err)
	}
}

// TestOthersFile: root takes no file for its own that others may write to.
func TestOthersFile(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		name     string
		uid, gid int
		mode     uint32
		want     error
	}{
		{"OK", 0, 0, 0o640, nil}, {"OK group reads", 0, 4712, 0o640, nil},
		{"user", 4711, 0, 0o600, ErrForeign}, {"group", 0, 4712, 0o660, ErrForeign}, {"everybody", 0, 0, 0o606, ErrForeign},
	} {
		path := filepath.Join(dir, tt.name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, tt.uid, tt.gid), unix.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir, tt.name, 10); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
