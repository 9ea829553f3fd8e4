package configs

import (
	_ "embed" // the reference file
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/viper"
)

//go:embed ftpvip.yaml
var reference []byte

// Reference returns the reference configuration: every key, explained. It is itself valid.
func Reference() []byte { return slices.Clone(reference) }

// MaxSize is the biggest file that is read, in bytes. A thousand pools of ten backends take about 1 MiB.
const MaxSize = 8 << 20

// Load reads, decodes and validates the file at path; v is as for Parse. The error is a *Error that holds
// every problem at once.
func Load(path string, v *viper.Viper) (*Config, error) {
	cfg, _, err := LoadText(path, v)
	return cfg, err
}

// LoadText is Load that also returns the file's text.
func LoadText(path string, v *viper.Viper) (*Config, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	defer f.Close()
	return LoadOpen(path, f, v)
}

// LoadOpen is LoadText for a file that is open already; path is its name in messages.
func LoadOpen(path string, file io.Reader, v *viper.Viper) (*Config, []byte, error) {
	// A limited read, not Stat: it may be a pipe or a device.
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	cfg, err := Parse(path, data, v)
	return cfg, data, err
}

// Parse is Load for text that is already in memory; name stands for the file in messages, and files that it names are
// looked for in the same folder.
//
// Flags bound to v, and the environment (FTPVIP_HELPER_QUEUES for helper.queues), override the keys that stand
// outside lists, with viper's precedence. Parse binds the environment to v and gives it those keys, so that v
// answers as the Config does. A nil v means the text alone.
func Parse(name string, data []byte, v *viper.Viper) (*Config, error) {
	var r report
	root := parseTree(&r, data)
	if root == nil {
		return nil, r.err(name)
	}
	if v != nil {
		bindFile(v, root)
	}
	cfg := validate(&input{report: &r, root: root, viper: v}, filepath.Dir(name))
	if err := r.err(name); err != nil {
		return nil, err
	}
	return cfg, nil
}

// unreadable is a *Error that says what an admin can do.
func unreadable(path string, err error) error {
	p := Problem{Message: "cannot be read", Remedy: "check the path given with --config"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Message = "no such file"
		p.Remedy = "write it (its keys are explained in the reference file ftpvip.yaml), " +
			"or name another with --config FILE"
	case errors.Is(err, fs.ErrPermission):
		p.Message = "no permission to read it"
		p.Remedy = "run as root, or see who may read it with: ls -l " + path
	default:
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // the path is in the message already
		}
		p.Message = fmt.Sprintf("cannot be read: %v", err)
	}
	return &Error{Path: path, Problems: []Problem{p}, Err: err}
}
