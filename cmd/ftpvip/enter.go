package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/configs/statedir"
	"ftpvip/helper"
	"ftpvip/rules/doctor/host"
)

// entering lists verbs that use the state directory. Before they begin, root becomes its owner; package statedir says why.
// What a verb has to do as root is its own PreRunE, which comes before.
func (a *app) entering(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		first := cmd.PreRunE
		cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
			if first != nil {
				if err := first(cmd, args); err != nil {
					return fail(err, exitFailure)
				}
			}
			return fail(a.enter(), exitFailure)
		}
	}
	return cmds
}

// enter makes root the owner of the state directory, for good. The configuration is root's to read, wherever an admin
// keeps it, so it is opened before.
func (a *app) enter() error {
	owner, err := statedir.Foreign(a.v.GetString("state-dir"))
	if err != nil || owner == nil {
		return err
	}
	if f, err := os.Open(a.v.GetString("config")); err == nil { // otherwise whoever needs it says what is wrong
		a.early = f
	}
	return owner.Become()
}

// seen is what only root may read of the kernel.
type seen struct {
	queues    map[uint16]helper.QueueState
	legacy    []string
	queuesErr error
	legacyErr error
}

// look reads it, for the verbs that show it.
func (a *app) look(*cobra.Command, []string) error {
	a.seen.queues, a.seen.queuesErr = helper.Queues()
	a.seen.legacy, a.seen.legacyErr = host.Legacy()
	return nil
}

// loadText loads the configuration. Where the state directory's owner may not read it, what root opened stands in; a pipe
// can be opened only once.
func (a *app) loadText() (*configs.Config, []byte, error) {
	path := a.v.GetString("config")
	if a.early == nil {
		return configs.LoadText(path, a.v)
	}
	if info, err := a.early.Stat(); err != nil || !info.Mode().IsRegular() {
		defer a.forgetEarly()
		return configs.LoadOpen(path, a.early, a.v)
	}
	cfg, text, err := configs.LoadText(path, a.v)
	if e, ok := errors.AsType[*configs.Error](err); !ok || !errors.Is(e.Err, fs.ErrPermission) {
		return cfg, text, err
	}
	a.log.Warn("root reads the configuration, but the services, which run as the owner of the state directory, may not; "+
		"let them with: chgrp ftpvip FILE; chmod 0640 FILE", "file", path)
	if _, err := a.early.Seek(0, 0); err != nil {
		return nil, nil, err
	}
	return configs.LoadOpen(path, a.early, a.v)
}

// forgetEarly is for verbs that read the configuration again later: then the file may be another one.
func (a *app) forgetEarly() {
	if a.early != nil {
		_ = a.early.Close() // only read
		a.early = nil
	}
}
