package operate

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/viper"

	"ftpvip/configs"
	"ftpvip/configs/statedir"
)

// Source is where the configuration comes from.
type Source struct {
	Path      string
	Overrides *viper.Viper // flags and environment
	Log       *slog.Logger

	hidden bool     // root reads the file, and the services may not
	early  *os.File // the file, opened while we were root; nil: it is opened when it is needed
}

// Enter makes a root process run as the owner of the state directory from now on; package statedir says why. It opens the
// configuration first, because the file may be readable by root only.
func (s *Source) Enter(stateDir string) error {
	owner, err := statedir.Foreign(stateDir)
	if err != nil || owner == nil {
		return err
	}
	if f, err := os.Open(s.Path); err == nil { // Load reports the error
		s.early = f
	}
	return owner.Become()
}

// Load loads the configuration and its text. If the owner of the state directory may not read the file, Load reads the one
// that root opened. A pipe can be opened only once.
func (s *Source) Load() (*configs.Config, []byte, error) {
	if s.early == nil {
		return configs.LoadText(s.Path, s.Overrides)
	}
	if info, err := s.early.Stat(); err != nil || !info.Mode().IsRegular() {
		defer s.forgetEarly()
		return configs.LoadOpen(s.Path, s.early, s.Overrides)
	}
	cfg, text, err := configs.LoadText(s.Path, s.Overrides)
	if e, ok := errors.AsType[*configs.Error](err); !ok || !errors.Is(e.Err, fs.ErrPermission) {
		return cfg, text, err
	}
	s.hidden = true
	s.Log.Warn("root reads the configuration, but the services, which run as the owner of the state directory, may not; "+
		"let them with: chgrp ftpvip FILE; chmod 0640 FILE", "file", s.Path)
	if _, err := s.early.Seek(0, 0); err != nil {
		return nil, nil, err
	}
	return configs.LoadOpen(s.Path, s.early, s.Overrides)
}

// text is the file as it is.
func (s *Source) text() ([]byte, error) { return statedir.ReadRegular(s.Path, configs.MaxSize) }

// parse reads a recorded configuration.
func (s *Source) parse(name, text string) (*configs.Config, error) {
	return configs.Parse(name, []byte(text), s.Overrides)
}

// forgetEarly closes the file that root opened, for commands that reload the configuration later.
func (s *Source) forgetEarly() {
	if s.early != nil {
		_ = s.early.Close() // only read
		s.early = nil
	}
}

// absolute is the file's path for processes that run elsewhere.
func (s *Source) absolute() string {
	if path, err := filepath.Abs(s.Path); err == nil {
		return path
	}
	return s.Path
}
