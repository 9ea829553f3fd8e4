package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLockIsWaitedFor: a command waits its time for each process that has the lock, not for all of them together.
func TestLockIsWaitedFor(t *testing.T) {
	const wait = 2 * time.Second
	const lockChange = "lock"
	path := filepath.Join(t.TempDir(), lockChange)
	d, err := Make(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	unlock, err := d.Lock(t.Context(), lockChange, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()

	other, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(t.Context(), lockChange, 100*time.Millisecond); !errors.Is(err, ErrLocked) {
		t.Fatalf("a process that keeps the lock: %v", err)
	}

	got := make(chan error, 1)
	go func() {
		unlock, err := d.Lock(t.Context(), lockChange, wait)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	for start := time.Now(); time.Since(start) < wait+wait/2; time.Sleep(50 * time.Millisecond) {
		if err := other.Truncate(0); err != nil { // as each of many that take it in turn
			t.Fatal(err)
		}
	}
	if now, err := os.Stat(path); err != nil || !now.ModTime().After(info.ModTime()) {
		t.Fatalf("taking the lock does not show: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatalf("many processes that have the lock in turn: %v", err)
	}
}

// TestLeftovers: what a killed write left behind is removed by the next command, and nothing else.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for name, when := range map[string]time.Time{
		".health.json.abcdefghij": old, ".health.json.abcdefghi2": time.Now(), "health.json": old, ".hidden": old, ".a.ABCDEFGHIJ": old,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got, want := strings.Join(left, " "), ".a.ABCDEFGHIJ .health.json.abcdefghi2 .hidden health.json"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
}
