package health

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ftpvip/configs"
)

// Names in the state directory.
const (
	stateName   = "health.json"
	corruptName = "health.json.corrupt"
	maxState    = 64 << 20 // bytes; 10,000 backends need some 4 MiB
)

// ErrNoStateDir says that the state directory does not exist.
var ErrNoStateDir = errors.New("the state directory does not exist")

// Load reads the state of cfg's backends from dir. It writes nothing, so that commands that only look may use it.
// A missing file or directory is a first run. A file that cannot be decoded is not an error either: the state
// starts from empty, every backend a member, and warnings say so; the next Save puts the file aside. An error means
// that the file could not be read at all.
func Load(dir string, cfg *configs.Config) (f File, warnings []string, err error) {
	path := filepath.Join(dir, stateName)
	f, err = readState(path)
	var broken *decodeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}.For(cfg), nil, nil
	case errors.As(err, &broken):
		warning := fmt.Sprintf("health state %s is of no use, starting from empty (every backend a member); the next round keeps it as %s: %v",
			path, corruptName, broken.err)
		return File{}.For(cfg), []string{warning}, nil
	case err != nil:
		return File{}, nil, fmt.Errorf("reading health state: %w", err)
	}
	return f.For(cfg), nil, nil
}

// Save writes f to dir: at every moment there is a whole file, the old one or the new one, also when power fails.
// A file that cannot be decoded is renamed to health.json.corrupt first. Only one process may save at a
// time; the caller holds the lock. The error is ErrNoStateDir where there is no dir.
func (f File) Save(dir string) error {
	b, err := f.Encode()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing health state to %s: %w; create it with `install -d -m 0750 %s`, or name another with --state-dir",
			dir, ErrNoStateDir, dir)
	}
	path := filepath.Join(dir, stateName)
	if err := setAside(path); err != nil {
		return fmt.Errorf("keeping a corrupt health state aside: %w", err)
	}
	if err := replace(path, b); err != nil {
		return fmt.Errorf("writing health state: %w", err)
	}
	return nil
}

// decodeError marks a state file that was read but could not be decoded.
type decodeError struct{ err error }

func (e *decodeError) Error() string { return e.err.Error() }
func (e *decodeError) Unwrap() error { return e.err }

// readState reads and decodes the file at path.
func readState(path string) (File, error) {
	in, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer in.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(in, maxState+1))
	if err != nil {
		return File{}, err
	}
	if len(b) > maxState {
		return File{}, &decodeError{fmt.Errorf("larger than %d bytes", maxState)}
	}
	f, err := Decode(b)
	if err != nil {
		return File{}, &decodeError{err}
	}
	return f, nil
}

// setAside renames the file at path where it cannot be decoded.
func setAside(path string) error {
	_, err := readState(path)
	if _, broken := errors.AsType[*decodeError](err); !broken {
		return nil
	}
	return os.Rename(path, filepath.Join(filepath.Dir(path), corruptName))
}

// replace gives the file at path a new content, atomically and durably.
func replace(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+stateName+".*")
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
	if err := tmp.Chmod(0o640); err != nil {
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
