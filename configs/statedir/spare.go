package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spareParent is where the spare directories are: a file system in memory that every Linux host has, and that systemd leaves
// writable to services.
var spareParent = "/dev/shm"

// Unwritable reports whether an error means that a directory takes no new files for now: the disk is full or read-only.
func Unwritable(err error) bool {
	for _, e := range []error{unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Writable returns why a directory takes no new files; nil if it does.
func Writable(path string) error {
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	const name = ".writable"
	err = d.Replace(name, []byte("x"), 0o600)
	if err == nil {
		return d.Remove(name)
	}
	return err
}

// Others reports whether a directory is another user's.
func Others(path string) bool {
	d, err := open(path)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	defer d.Close()
	return d.Own() != nil
}

// SparePath is the directory in memory that stands in for a state directory that cannot be written. Each user has one for each
// state directory. It is lost when the host restarts.
func SparePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(spareParent, fmt.Sprintf("ftpvip-%d-%s", os.Geteuid(), hex.EncodeToString(sum[:8])))
}

// OpenSpare opens the spare of a state directory. The error wraps fs.ErrNotExist if there is none. Anybody may write to the
// folder it is in, so one that is not this user's alone is refused.
func OpenSpare(path string) (*Dir, error) {
	spare := SparePath(path)
	d, err := openAs(spare, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	if d.stat.Uid != uint32(os.Geteuid()) || d.stat.Mode&0o077 != 0 {
		d.Close()
		return nil, fmt.Errorf("%s is not this user's alone: %w; look at it, then remove it with `rm -r %s`", spare, ErrForeign, spare)
	}
	return d, nil
}

// MakeSpare is OpenSpare, and makes it if it is missing.
func MakeSpare(path string) (*Dir, error) {
	if err := os.Mkdir(SparePath(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return OpenSpare(path)
}

// HasSpare reports whether a state directory has a spare: it could not be written lately.
func HasSpare(path string) bool {
	d, err := OpenSpare(path)
	if err == nil {
		d.Close()
	}
	return err == nil
}

// RemoveSpare removes what the spare of a state directory holds, and the spare.
func RemoveSpare(path string) error {
	d, err := OpenSpare(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Close()
	return os.RemoveAll(SparePath(path))
}
