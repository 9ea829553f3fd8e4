package health

import (
	"errors"
	"fmt"
	"io/fs"

	"ftpvip/configs"
	"ftpvip/configs/statedir"
	"ftpvip/configs/statefile"
)

// stateFile is the state of the backends in the state directory.
var stateFile = statefile.File[File]{Name: "health.json", What: "health state", Decode: Decode}

// SpareError says that the state could not be written to the state directory and is kept in memory instead: the next round goes on
// from there.
type SpareError struct{ Err error }

func (e *SpareError) Error() string {
	return fmt.Sprintf("the health state cannot be written and is kept in memory, so a restart of the host loses it; make room or make "+
		"the file system writable: %v", e.Err)
}

// Unwrap returns why it could not be written.
func (e *SpareError) Unwrap() error { return e.Err }

// Load reads the state of cfg's backends from dir, or from its spare where that is later. It writes nothing, so that commands that only look may use it.
// A missing file or directory is a first run. A file that cannot be decoded is not an error either: the state
// starts from empty, every backend a member, and warnings say so; the next Save puts the file aside. An error means
// that the file could not be read at all.
func Load(dir string, cfg *configs.Config) (f File, warnings []string, err error) {
	f, err = stateFile.Read(dir)
	if later, ok := readSpare(dir); ok && (err != nil || later.Round.After(f.Round)) {
		f, err = later, nil
	}
	var broken *statefile.DecodeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}.For(cfg), nil, nil
	case errors.As(err, &broken):
		warning := fmt.Sprintf("health state %s is of no use, starting from empty (every backend a member); the next round keeps it as %s: %v",
			stateFile.Path(dir), stateFile.CorruptName(), broken.Err)
		return File{}.For(cfg), []string{warning}, nil
	case err != nil:
		return File{}, nil, err
	}
	return f.For(cfg), nil, nil
}

// readSpare reads what a round wrote that could not write to dir.
func readSpare(dir string) (File, bool) {
	spare, err := statedir.OpenSpare(dir)
	if err != nil {
		return File{}, false
	}
	defer spare.Close()
	f, err := stateFile.Read(statedir.SparePath(dir))
	return f, err == nil
}

// Save writes f to dir: at every moment there is a whole file, the old one or the new one, also when power fails.
// A file that cannot be decoded is renamed to health.json.corrupt first. Only one process may save at a
// time; the caller holds the lock. The error is statefile.ErrNoDir where there is no dir. If the disk is full or read-only, f is
// written to the directory's spare, and the error is a *SpareError.
func (f File) Save(dir string) error {
	b, err := f.Encode()
	if err != nil {
		return err
	}
	err = stateFile.Write(dir, b)
	switch {
	case err == nil:
		return statedir.RemoveSpare(dir)
	case !statedir.Unwritable(err):
		return err
	}
	spare, failed := statedir.MakeSpare(dir)
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer spare.Close()
	if failed := stateFile.Write(statedir.SparePath(dir), b); failed != nil {
		return errors.Join(err, failed)
	}
	return &SpareError{err}
}
