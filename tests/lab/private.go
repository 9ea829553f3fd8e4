package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Private puts a copy over each of these folders, in this world only: what programs write there ends with it. The
// function that it returns uncovers them again.
func Private(dirs ...string) (undo func() error, err error) {
	if !Inside() {
		return nil, ErrNeedsRoot
	}
	var covered []string
	undo = func() error {
		var errs []error
		for _, dir := range covered {
			errs = append(errs, unix.Unmount(dir, unix.MNT_DETACH))
		}
		return errors.Join(errs...)
	}
	for _, dir := range dirs {
		base, err := os.MkdirTemp("", "private")
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		replica := filepath.Join(base, "copy")
		if out, err := exec.Command("cp", "-a", dir, replica).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("copying %s: %w\n%s", dir, err, out), undo())
		}
		if err := unix.Mount(replica, dir, "", unix.MS_BIND, ""); err != nil {
			return nil, errors.Join(fmt.Errorf("covering %s: %w", dir, err), undo())
		}
		covered = append(covered, dir)
	}
	return undo, nil
}
