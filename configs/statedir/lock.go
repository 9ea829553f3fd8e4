package statedir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("another ftpvip is at work")

// lockPoll is how often a lock is tried that another process holds.
const lockPoll = 20 * time.Millisecond

// Make opens a directory that this process changes, and makes it if it is missing. It returns an error where the
// directory is not this process's own.
func Make(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	d, err := Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	if err := d.Own(); err != nil {
		d.Close()
		return nil, err
	}
	d.removeLeftovers(time.Now())
	return d, nil
}

// leftover is the name of a file that Replace has not given its own name yet.
var leftover = regexp.MustCompile(`^\.[a-z0-9.-]+\.[a-z2-7]{10}$`)

// removeLeftovers removes what is left of writes that were killed.
func (d *Dir) removeLeftovers(now time.Time) {
	entries, err := os.ReadDir(d.Join("."))
	if err != nil {
		return // whoever needs to read the directory will say so
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && leftover.MatchString(e.Name()) && now.Sub(info.ModTime()) > time.Minute {
			_ = d.Remove(e.Name())
		}
	}
}

// Lock takes the lock of that name, waiting as long as said for the process that has it: the time begins again when
// another one takes it. After that the error is ErrLocked. The kernel drops the lock with the process, so nothing is left
// after a kill. The lock stays when the directory is closed. Where the directory cannot be written, the lock is in its spare.
func (d *Dir) Lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	const flags = os.O_RDWR | os.O_CREATE
	f, err := d.OpenFile(name, flags, 0o600)
	if err != nil && Unwritable(err) {
		var spare *Dir
		if spare, err = MakeSpare(d.path); err == nil {
			defer spare.Close()
			f, err = spare.OpenFile(name, flags, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := lock(ctx, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

func lock(ctx context.Context, f *os.File, wait time.Duration) error {
	deadline, taken := time.Now().Add(wait), time.Time{}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if err := f.Truncate(0); err != nil { // it is empty: this sets the time at which it was taken
				return fmt.Errorf("saying when %s was taken: %w", f.Name(), err)
			}
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if info, err := f.Stat(); err == nil && info.ModTime().After(taken) {
			deadline, taken = time.Now().Add(wait), info.ModTime()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: it holds %s for more than %s; see who with: fuser %[2]s", ErrLocked, f.Name(), wait)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", f.Name(), ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
