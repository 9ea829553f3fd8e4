package admin

import (
	"errors"
	"fmt"
	"io/fs"

	"ftpvip/configs/statefile"
)

var stateFile = statefile.File[File]{Name: "admin.json", What: "admin state", Decode: Decode}

// Load reads the decisions from dir; it writes nothing. A missing file or directory is none. A file that cannot be
// decoded is none either, and warnings say so: an admin's decision about one backend must not keep the others from
// serving. The next Save puts the file aside. An error means that the file could not be read at all.
func Load(dir string) (f File, warnings []string, err error) {
	f, err = stateFile.Read(dir)
	var broken *statefile.DecodeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, nil, nil
	case errors.As(err, &broken):
		return File{}, []string{fmt.Sprintf("admin state %s is of no use: NO BACKEND IS DRAINED OR DISABLED, and weights are "+
			"those of the configuration; fix the file, or decide again with drain, disable and weight, which keeps it as %s: %v",
			stateFile.Path(dir), stateFile.CorruptName(), broken.Err)}, nil
	case err != nil:
		return File{}, nil, err
	}
	return f, nil, nil
}

// Save writes f to dir, atomically. The caller holds the lock.
func (f File) Save(dir string) error {
	b, err := f.Encode()
	if err != nil {
		return err
	}
	return stateFile.Write(dir, b)
}

// Snapshot returns a function that brings the file back to how it is now.
func Snapshot(dir string) (restore func() error, err error) { return stateFile.Snapshot(dir) }
