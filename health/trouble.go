package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ftpvip/configs/statedir"
	"ftpvip/configs/statefile"
)

// Troubles are what was found on this host that stands in the way of FTP.
type Troubles struct {
	At   time.Time `json:"at"`
	List []Trouble `json:"troubles"`
}

// Trouble is one of them.
type Trouble struct {
	ID   string    `json:"id"` // of doctor's finding
	What string    `json:"what"`
	Told time.Time `json:"told"` // when the log said so last
}

// Told is when the log said last that there is a trouble; zero if there was none.
func (t Troubles) Told(id string) time.Time {
	for _, x := range t.List {
		if x.ID == id {
			return x.Told
		}
	}
	return time.Time{}
}

var troubleFile = statefile.File[Troubles]{Name: "troubles.json", What: "what was found on this host", Decode: decodeTroubles}

type troublesJSON struct {
	Version int `json:"version"`
	Troubles
}

func decodeTroubles(b []byte) (Troubles, error) {
	in, err := statefile.Unmarshal[troublesJSON](b, 1)
	return in.Troubles, err
}

// LoadTroubles reads what was found last, from dir or from its spare.
func LoadTroubles(dir string) (Troubles, error) {
	t, err := troubleFile.Read(dir)
	if spare, failed := statedir.OpenSpare(dir); failed == nil {
		defer spare.Close()
		if later, failed := troubleFile.Read(statedir.SparePath(dir)); failed == nil && later.At.After(t.At) {
			return later, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Troubles{}, nil
	}
	return t, err
}

// Save writes t to dir, or to its spare if that cannot be written.
func (t Troubles) Save(dir string) error {
	b, err := json.MarshalIndent(troublesJSON{1, t}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding what was found on this host: %w", err)
	}
	err = troubleFile.Write(dir, append(b, '\n'))
	if err == nil || !statedir.Unwritable(err) {
		return err
	}
	spare, failed := statedir.MakeSpare(dir)
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer spare.Close()
	return troubleFile.Write(statedir.SparePath(dir), append(b, '\n'))
}
