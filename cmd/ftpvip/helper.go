package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"ftpvip/configs/statedir"
	"ftpvip/helper"
	"ftpvip/helper/recall"
)

func (a *app) helperCommand() *cobra.Command {
	return verb("helper", "Run the conntrack helper in the foreground", a.helper)
}

// helperSocket is where a running helper answers; "" where it can be nowhere.
func (a *app) helperSocket() string {
	if _, err := a.stateDir(); err != nil {
		a.log.Warn("`ftpvip sessions` and the live part of `ftpvip status` will not work", "err", err)
		return ""
	}
	return a.socket()
}

// memoryFile is what sessions remember for the next helper. It belongs on a file system in memory, where systemd makes a
// directory for it; without systemd it is in the state directory.
const memoryFile = "helper.memory"

// helperMemory opens it.
func (a *app) helperMemory() (*recall.File, error) {
	path := os.Getenv("RUNTIME_DIRECTORY")
	if path == "" {
		var err error
		if path, err = a.stateDir(); err != nil {
			return nil, err
		}
	}
	dir, err := statedir.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := dir.Own(); err != nil {
		return nil, err
	}
	f, err := dir.OpenFile(memoryFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	memory, err := recall.Open(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return memory, nil
}

// sparing makes the garbage collector keep close to what is in use: a helper has thousands of small sessions for long
// and makes hardly any garbage, so memory is worth more than the little time. GOGC in the environment comes first.
func sparing() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// helper runs until SIGTERM or SIGINT. SIGHUP reloads the configuration; a wrong one is refused, and the old one
// runs on.
func (a *app) helper(ctx context.Context) error {
	cfg, err := a.serving()
	if err != nil {
		return err
	}
	a.forgetEarly()
	sparing()
	memory, err := a.helperMemory()
	if err != nil {
		a.log.Warn("a helper that is killed in the middle of a line will leave the next one to guess", "err", err)
	}
	d := helper.New(cfg, a.log, helper.Options{Version: version, Socket: a.helperSocket(), Memory: memory})
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				cfg, err := a.serving()
				if err != nil {
					a.log.Error("the new configuration is refused, the old one stays", "err", err)
					continue
				}
				d.Reload(cfg)
				a.log.Info("configuration reloaded")
			}
		}
	}()
	return d.Run(ctx)
}
