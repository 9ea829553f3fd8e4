package health

import (
	"errors"
	"fmt"
	"io/fs"

	"ftpvip/configs"
	"ftpvip/configs/statefile"
)

// stateFile is the state of the backends in the state directory.
var stateFile = statefile.File[File]{Name: "health.json", What: "health state", Decode: Decode}

// Load reads the state of cfg's backends from dir. It writes nothing, so that commands that only look may use it.
// A missing file or directory is a first run. A file that cannot be decoded is not an error either: the state
// starts from empty, every backend a member, and warnings say so; the next Save puts the file aside. An error means
// that the file could not be read at all.
func Load(dir string, cfg *configs.Config) (f File, warnings []string, err error) {
	f, err = stateFile.Read(dir)
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

// Save writes f to dir: at every moment there is a whole file, the old one or the new one, also when power fails.
// A file that cannot be decoded is renamed to health.json.corrupt first. Only one process may save at a
// time; the caller holds the lock. The error is statefile.ErrNoDir where there is no dir.
func (f File) Save(dir string) error {
	b, err := f.Encode()
	if err != nil {
		return err
	}
	return stateFile.Write(dir, b)
}
