package operate

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"ftpvip/configs/statedir"
	"ftpvip/helper"
	"ftpvip/helper/recall"
)

// helperSocket is where a running helper answers; "" where it can be nowhere.
func (o *Operator) helperSocket() string {
	dir, err := statedir.Make(o.StateDir)
	if err != nil {
		o.Log.Warn("`ftpvip sessions` and the live part of `ftpvip status` will not work", "err", err)
		return ""
	}
	dir.Close()
	return o.socket()
}

// memoryFile is what sessions remember for the next helper. It belongs on a file system in memory, where systemd makes a
// directory for it; without systemd it is in the state directory.
const memoryFile = "helper.memory"

// helperMemory opens it.
func (o *Operator) helperMemory() (*recall.File, error) {
	path := os.Getenv("RUNTIME_DIRECTORY")
	if path == "" {
		path = o.StateDir
	}
	dir, err := statedir.Make(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
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

// Helper runs the conntrack helper until SIGTERM or SIGINT. SIGHUP reloads the configuration; a wrong one is refused, and the old one
// runs on.
func (o *Operator) Helper(ctx context.Context, version string) error {
	cfg, err := o.serving()
	if err != nil {
		return err
	}
	o.Source.forgetEarly()
	sparing()
	memory, err := o.helperMemory()
	if err != nil {
		o.Log.Warn("a helper that is killed in the middle of a line will leave the next one to guess", "err", err)
	}
	d := helper.New(cfg, o.Log, helper.Options{Version: version, Socket: o.helperSocket(), Memory: memory})
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
				cfg, err := o.serving()
				if err != nil {
					o.Log.Error("the new configuration is refused, the old one stays", "err", err)
					continue
				}
				d.Reload(cfg)
				o.Log.Info("configuration reloaded")
			}
		}
	}()
	return d.Run(ctx)
}
