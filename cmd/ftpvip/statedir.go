package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs/statedir"
)

// Names of the locks in the state directory.
const (
	lockChange = "lock"        // held while state files or the kernel's table change
	lockRound  = "health.lock" // held for a whole round of health checks
)

// lockWait is how long a command waits for another one that changes things; for each, where there are many.
const lockWait = 30 * time.Second

// errLocked says that another process holds a lock.
var errLocked = errors.New("another ftpvip is at work")

// stateDir returns the state directory, made if it is missing. It is this process's own: who only looks does not call it.
func (a *app) stateDir() (string, error) {
	dir := a.v.GetString("state-dir")
	d, err := a.openStateDir()
	if err != nil {
		return "", err
	}
	d.Close()
	return dir, nil
}

func (a *app) openStateDir() (*statedir.Dir, error) {
	dir := a.v.GetString("state-dir")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	d, err := statedir.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	if err := d.Own(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// lock takes a lock of the state directory, waiting as long as said for the process that has it: the time begins anew
// when another one takes it. The kernel drops the lock with the process, so nothing is left after a kill.
func (a *app) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	dir, err := a.openStateDir()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	path := f.Name()
	deadline, taken := time.Now().Add(wait), time.Time{}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if err := f.Truncate(0); err != nil { // it is empty: this sets the time at which it was taken
				return nil, errors.Join(fmt.Errorf("saying when %s was taken: %w", path, err), f.Close())
			}
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
		if info, err := f.Stat(); err == nil && info.ModTime().After(taken) {
			deadline, taken = time.Now().Add(wait), info.ModTime()
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%w: it holds %s for more than %s; see who with: fuser %s",
				errLocked, path, wait, path), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for %s: %w", path, ctx.Err()), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
