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

// helperSocket is the path of the helper's socket; "" if there can be none.
func (o *Operator) helperSocket() string {
	dir, err := statedir.Make(o.StateDir)
	if err != nil {
		o.Log.Warn("`ftpvip sessions` and the live part of `ftpvip status` will not work", "err", err)
		return ""
	}
	dir.Close()
	return o.socket()
}

// memoryFile holds the state of sessions for the next helper. systemd provides a directory in memory for it; without systemd
// it is in the state directory.
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

// tuneGarbageCollector saves memory: a helper has thousands of small, long-lived sessions and allocates little, so collecting
// more often costs little time. GOGC in the environment overrides it.
func tuneGarbageCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// Helper runs the conntrack helper until SIGTERM or SIGINT. SIGHUP reloads the configuration; if the new one is invalid, the
// old one stays in use.
func (o *Operator) Helper(ctx context.Context, version string) error {
	in, err := o.serving()
	if err != nil {
		return err
	}
	o.Source.forgetEarly()
	tuneGarbageCollector()
	memory, err := o.helperMemory()
	if err != nil {
		o.Log.Warn("session state cannot be kept for the next helper: if this one is killed in the middle of a line, transfers may fail", "err", err)
	}
	d := helper.New(in.cfg, o.Log, helper.Options{Version: version, Config: in.id, Socket: o.helperSocket(), Memory: memory})
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
				in, err := o.serving()
				if err == nil {
					err = in.broken
				}
				if err != nil {
					o.Log.Error("the new configuration is refused, the old one stays", "err", err)
					continue
				}
				d.Reload(in.cfg, in.id)
				o.Log.Info("configuration reloaded")
			}
		}
	}()
	return d.Run(ctx)
}
