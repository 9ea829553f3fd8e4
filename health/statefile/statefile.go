// Package statefile keeps the small files of the state directory: what a program remembers between two runs.
//
// At every moment there is a whole file, the old one or the new one, also when power fails. A file that cannot be
// decoded is put aside before it is replaced, for somebody to look at. The package takes no lock: who writes holds one.
package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSize is the biggest file that is read, in bytes; 10,000 backends need some 4 MiB.
const maxSize = 64 << 20

// fileMode is that of state files.
const fileMode = 0o640

// ErrNoDir says that the state directory does not exist.
var ErrNoDir = errors.New("the state directory does not exist")

// DecodeError marks a file that was read but is of no use.
type DecodeError struct{ Err error }

func (e *DecodeError) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong with the content.
func (e *DecodeError) Unwrap() error { return e.Err }

// File is a kind of state file.
type File[T any] struct {
	Name   string // in the state directory
	What   string // for messages: "health state"
	Decode func(b []byte) (T, error)
}

// Path is the file's path in a state directory.
func (f File[T]) Path(dir string) string { return filepath.Join(dir, f.Name) }

// CorruptName is what a file that cannot be decoded is renamed to.
func (f File[T]) CorruptName() string { return f.Name + ".corrupt" }

// Read reads and decodes the file. The error wraps fs.ErrNotExist where there is none, and is a *DecodeError where
// it was read but is of no use.
func (f File[T]) Read(dir string) (T, error) {
	var none T
	in, err := os.Open(f.Path(dir))
	if err != nil {
		return none, fmt.Errorf("reading %s: %w", f.What, err)
	}
	defer in.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	if err != nil {
		return none, fmt.Errorf("reading %s: %w", f.What, err)
	}
	if len(b) > maxSize {
		return none, &DecodeError{fmt.Errorf("larger than %d bytes", maxSize)}
	}
	v, err := f.Decode(b)
	if err != nil {
		return none, &DecodeError{err}
	}
	return v, nil
}

// Write gives the file a new content, atomically and durably. One that cannot be decoded is renamed to CorruptName
// first. The error wraps ErrNoDir where there is no such directory.
func (f File[T]) Write(dir string, b []byte) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s to %s: %w; create it with `install -d -m 0750 %s`, or name another with --state-dir",
			f.What, dir, ErrNoDir, dir)
	}
	_, err := f.Read(dir)
	if _, broken := errors.AsType[*DecodeError](err); broken {
		if err := os.Rename(f.Path(dir), filepath.Join(dir, f.CorruptName())); err != nil {
			return fmt.Errorf("keeping a corrupt %s aside: %w", f.What, err)
		}
	}
	if err := Replace(f.Path(dir), b, fileMode); err != nil {
		return fmt.Errorf("writing %s: %w", f.What, err)
	}
	return nil
}

// Snapshot returns a function that brings the file back to how it is now, byte for byte, also where there is none.
func (f File[T]) Snapshot(dir string) (restore func() error, err error) {
	path := f.Path(dir)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return func() error {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing %s: %w", f.What, err)
			}
			return nil
		}, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", f.What, err)
	}
	return func() error {
		if err := Replace(path, b, fileMode); err != nil {
			return fmt.Errorf("restoring %s: %w", f.What, err)
		}
		return nil
	}, nil
}

// Replace gives the file at path a new content, atomically and durably.
func Replace(path string, b []byte, mode fs.FileMode) (err error) {
	dir, name := filepath.Split(path)
	tmp, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable: fsync(2), "does not necessarily ensure that the entry in the directory
// containing the file has also reached disk".
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
