package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/rules/change"
)

// loaded is the configuration that the file had when it was last read, with its text.
type loaded struct {
	cfg  *configs.Config
	text []byte
}

// config loads the configuration.
func (a *app) config() (*configs.Config, error) {
	cfg, text, err := a.loadText()
	if err != nil {
		return nil, err
	}
	a.file.Store(&loaded{cfg, text})
	return cfg, nil
}

// serving loads the configuration that checks and the helper work with: the file's, but after a rollback what was
// restored, until the next apply.
func (a *app) serving() (*configs.Config, error) {
	r, err := a.record()
	if err != nil {
		return nil, err
	}
	if r.RolledBack.IsZero() || r.Current == nil {
		return a.config()
	}
	cfg, err := configs.Parse(r.Current.File, []byte(r.Current.Text), a.v)
	if err != nil {
		return nil, fmt.Errorf("the configuration that a rollback restored is not valid any more; run `ftpvip apply`: %w", err)
	}
	a.log.Warn("the file is not in force: its configuration was rolled back; mend it and run `ftpvip apply`",
		"file", r.Current.File, "since", r.RolledBack)
	return cfg, nil
}

// record reads what is in force, and logs what is wrong with that file.
func (a *app) record() (inforce.Record, error) {
	r, warnings, err := inforce.Load(a.v.GetString("state-dir"))
	for _, w := range warnings {
		a.log.Warn(w)
	}
	return r, err
}

// forSlots is the configuration for the slots of the table that is in the kernel: the one that was applied, or
// restored, last. A file that was edited since, or a program that read it then, changes no slots. cfg stands in where
// nothing is recorded. The caller holds the lock.
func (a *app) forSlots(cfg *configs.Config) (*configs.Config, error) {
	r, err := a.record()
	if err != nil || r.Current == nil {
		return cfg, err
	}
	if l := a.file.Load(); l != nil && l.cfg == cfg && r.Same(inforce.New("", l.text, cfg, time.Time{})) {
		return cfg, nil
	}
	applied, err := r.Current.Config()
	if err != nil {
		a.log.Warn("slots follow the file for now; run `ftpvip apply`", "err", err)
		return cfg, nil
	}
	return applied, nil
}

// remember is the step that writes another record.
func (a *app) remember(r inforce.Record) (change.Step, error) {
	dir := a.v.GetString("state-dir")
	restore, err := inforce.Snapshot(dir)
	return change.Step{Name: "writing what is in force", Do: func() error { return r.Save(dir) }, Undo: restore}, err
}

// boot identifies this run of the kernel.
func boot() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the kernel's boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
