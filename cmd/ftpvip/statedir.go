package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the locks in the state directory.
const (
	lockChange = "lock"        // held while state files or the kernel's table change
	lockRound  = "health.lock" // held for a whole round of health checks
)

// lockWait is how long a command waits for another one that changes things.
const lockWait = 30 * time.Second

// errLocked says that another process holds a lock.
var errLocked = errors.New("another ftpvip is at work")

// stateDir returns the state directory, made if it is missing. Files in it are written as its owner.
func (a *app) stateDir() (string, error) {
	dir := a.v.GetString("state-dir")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("making the state directory: %w", err)
	}
	return dir, actAsOwner(dir)
}

// lock takes a lock of the state directory, waiting for it as long as said. The kernel drops the lock with the
// process, so nothing is left after a kill.
func (a *app) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	dir, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
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
