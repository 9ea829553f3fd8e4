// Package statefile keeps the small files of the state directory: what a program remembers between two runs.
//
// At every moment there is a whole file, the old one or the new one, also when power fails. A file that cannot be
// decoded is put aside before it is replaced, for somebody to look at. The package takes no lock: who writes holds one.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ftpvip/configs/statedir"
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

// Read reads and decodes the file. The error wraps fs.ErrNotExist if there is none, and is a *DecodeError where
// it was read but is of no use.
func (f File[T]) Read(dir string) (T, error) {
	d, err := statedir.Open(dir)
	if err != nil {
		var none T
		return none, fmt.Errorf("reading %s: %w", f.What, err)
	}
	defer d.Close()
	return f.read(d)
}

func (f File[T]) read(d *statedir.Dir) (T, error) {
	var none T
	b, err := d.Read(f.Name, maxSize)
	switch {
	case errors.Is(err, statedir.ErrTooLarge):
		return none, &DecodeError{fmt.Errorf("larger than %d bytes", maxSize)}
	case err != nil:
		return none, fmt.Errorf("reading %s: %w", f.What, err)
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
	d, err := statedir.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s to %s: %w; create it with `install -d -m 0750 %s`, or name another with --state-dir",
			f.What, dir, ErrNoDir, dir)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.What, err)
	}
	defer d.Close()
	_, err = f.read(d)
	if _, broken := errors.AsType[*DecodeError](err); broken {
		if err := d.Rename(f.Name, f.CorruptName()); err != nil {
			return fmt.Errorf("keeping a corrupt %s aside: %w", f.What, err)
		}
	}
	if err := d.Replace(f.Name, b, fileMode); err != nil {
		return fmt.Errorf("writing %s: %w", f.What, err)
	}
	return nil
}

// Snapshot returns a function that brings the file back to how it is now, byte for byte, also if there is none. One that
// is too large to be read is taken back from where Write put it.
func (f File[T]) Snapshot(dir string) (restore func() error, err error) {
	back := func(d *statedir.Dir, b []byte) error { return d.Replace(f.Name, b, fileMode) }
	b, err := statedir.Read(dir, f.Name, maxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		back = func(d *statedir.Dir, _ []byte) error { return d.Remove(f.Name) }
	case errors.Is(err, statedir.ErrTooLarge):
		back = func(d *statedir.Dir, _ []byte) error { return d.Rename(f.CorruptName(), f.Name) }
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", f.What, err)
	}
	replaces := err == nil
	return func() error {
		d, err := statedir.Open(dir)
		if err == nil {
			defer d.Close()
			err = back(d, b)
		}
		if errors.Is(err, fs.ErrNotExist) && !replaces { // the change came not so far
			return nil
		}
		if err != nil {
			return fmt.Errorf("restoring %s: %w", f.What, err)
		}
		return nil
	}, nil
}
