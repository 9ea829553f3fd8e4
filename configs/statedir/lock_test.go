package statedir

import (
	"errors"
	"os"
	"path/filepath"
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
