package inforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"ftpvip/configs"
	"ftpvip/configs/statefile"
)

// Version is the version of the file's format that this package writes, and the only one it reads.
const Version = 1

var stateFile = statefile.File[Record]{Name: "applied.json", What: "the record of what is in force", Decode: Decode}

type fileJSON struct {
	Version int `json:"version"`
	Record
}

// Encode returns r as JSON.
func (r Record) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(fileJSON{Version, r}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the record of what is in force: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode is the opposite of Encode.
func Decode(b []byte) (Record, error) {
	in, err := statefile.Unmarshal[fileJSON](b, Version)
	if err != nil {
		return Record{}, fmt.Errorf("decoding the record of what is in force: %w", err)
	}
	if in.Previous != nil && !in.PreviousKnown || in.Pending != nil && in.Pending.Token == "" {
		return Record{}, errors.New("decoding the record of what is in force: it contradicts itself")
	}
	for _, a := range []*Applied{in.Current, in.Previous} {
		if a != nil { // earlier versions kept passwords
			a.Text = string(configs.Conceal([]byte(a.Text)))
		}
	}
	return in.Record, nil
}

// Load reads the record from dir; it writes nothing. Where there is no file or directory, or one of no use, nothing is
// known to be in force; of the latter warnings tell.
func Load(dir string) (r Record, warnings []string, err error) {
	r, err = stateFile.Read(dir)
	var broken *statefile.DecodeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Record{}, nil, nil
	case errors.As(err, &broken):
		return Record{}, []string{fmt.Sprintf("%s is of no use, so there is no way back and an apply that waits for its "+
			"confirmation stays; the next apply keeps it as %s: %v", stateFile.Path(dir), stateFile.CorruptName(), broken.Err)}, nil
	case err != nil:
		return Record{}, nil, err
	}
	return r, nil, nil
}

// Save writes r to dir, atomically. The caller holds the lock.
func (r Record) Save(dir string) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	return stateFile.Write(dir, b)
}

// Snapshot returns a function that brings the file back to how it is now.
func Snapshot(dir string) (restore func() error, err error) { return stateFile.Snapshot(dir) }
