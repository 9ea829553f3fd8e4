package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/statedir"
	"ftpvip/health"
	"ftpvip/rules/admin"
	"ftpvip/rules/change"
)

// loaded is the configuration when the file was last read, and its text.
type loaded struct {
	cfg  *configs.Config
	text []byte
}

// config loads the configuration.
func (o *Operator) config() (*configs.Config, error) {
	cfg, text, err := o.Source.Load()
	if err != nil {
		return nil, err
	}
	o.file.Store(&loaded{cfg, text})
	return cfg, nil
}

// serving is a configuration to work with.
type serving struct {
	cfg    *configs.Config
	id     string // see inforce.Applied.ID
	broken error  // why the file is not the one: it cannot be read or is not valid. Nil: it is
}

// serving loads the configuration for checks, the helper, and commands that show them: from the file or, after a rollback, the
// restored one until the next apply. If the file cannot be used, it is what is in force: a slip in the file stops no service.
func (o *Operator) serving() (serving, error) {
	r, err := o.record()
	if err != nil {
		return serving{}, err
	}
	if !r.RolledBack.IsZero() && r.Current != nil {
		cfg, err := o.Source.parse(r.Current.File, r.Current.Text)
		if err != nil {
			return serving{}, fmt.Errorf("the configuration that a rollback restored is not valid any more; run `ftpvip apply`: %w", err)
		}
		o.Log.Warn("the file is not in force: its configuration was rolled back; fix it and run `ftpvip apply`",
			"file", r.Current.File, "since", r.RolledBack)
		o.reveal(cfg)
		return serving{cfg: cfg, id: r.Current.ID()}, nil
	}
	cfg, err := o.config()
	if err == nil {
		file := inforce.New("", o.file.Load().text, cfg, time.Time{})
		return serving{cfg: cfg, id: file.ID()}, nil
	}
	if r.Current == nil {
		return serving{}, err
	}
	cfg, failed := o.Source.parse(r.Current.File, r.Current.Text)
	if failed != nil {
		return serving{}, errors.Join(err, failed)
	}
	o.Log.Error("the configuration file cannot be used, so what was applied stays in force; fix the file, then run `ftpvip check` and "+
		"`ftpvip apply`", "file", o.Source.Path, "applied", r.Current.At, "err", err)
	o.reveal(cfg)
	return serving{cfg: cfg, id: r.Current.ID(), broken: err}, nil
}

// reveal fills in the passwords of checks, which are in the file alone.
func (o *Operator) reveal(cfg *configs.Config) {
	if text, err := o.Source.text(); err == nil {
		configs.Reveal(cfg, text)
	}
}

// record reads which configuration is in force, and logs problems with that file.
func (o *Operator) record() (inforce.Record, error) {
	r, warnings, err := inforce.Load(o.StateDir)
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return r, err
}

// forSlots returns the configuration for the slots of the table in the kernel: the one that was last applied or restored. A
// file that was edited since then changes no slots. If nothing is recorded it returns cfg. The caller holds the lock.
func (o *Operator) forSlots(cfg *configs.Config) (*configs.Config, error) {
	r, err := o.record()
	if err != nil || r.Current == nil {
		return cfg, err
	}
	if l := o.file.Load(); l != nil && l.cfg == cfg && r.Same(inforce.New("", l.text, cfg, time.Time{})) {
		return cfg, nil
	}
	applied, err := r.Current.Config()
	if err != nil {
		o.Log.Warn("slots follow the file for now; run `ftpvip apply`", "err", err)
		return cfg, nil
	}
	return applied, nil
}

// recordStep is the step that writes a record.
func (o *Operator) recordStep(r inforce.Record) (change.Step, error) {
	dir := o.StateDir
	restore, err := inforce.Snapshot(dir)
	return change.Step{Name: "writing what is in force", Do: func() error { return r.Save(dir) }, Undo: restore}, err
}

// healthFile reads the health state, and logs problems with that file.
func (o *Operator) healthFile(cfg *configs.Config) (health.File, error) {
	file, warnings, err := health.Load(o.StateDir, cfg)
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return file.Adjusted(o.Clock.Now(), o.uptime()), err
}

// uptime is how long the host has been up.
func (o *Operator) uptime() health.Uptime {
	id, err := o.Clock.Boot()
	if err != nil {
		return health.Uptime{} // then a clock that jumps is not noticed
	}
	return health.Uptime{Boot: id, Up: o.Clock.Up()}
}

// known reads the state of the backends, and logs problems with the files. A caller that changes the kernel holds the lock.
func (o *Operator) known(cfg *configs.Config) (health.Known, error) {
	file, err := o.healthFile(cfg)
	if err != nil {
		return health.Known{}, err
	}
	decisions, err := o.adminFile()
	return health.Known{Health: file, Admin: decisions}, err
}

// adminFile reads the decisions of an admin, and logs problems with that file.
func (o *Operator) adminFile() (admin.File, error) {
	file, warnings, err := admin.Load(o.StateDir)
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return file, err
}

// lock takes a lock of the state directory, which is made if it is missing.
func (o *Operator) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	dir, err := statedir.Make(o.StateDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Lock(ctx, name, wait)
}

// lockChange takes the lock of what changes state files or the kernel's table.
func (o *Operator) lockChange(ctx context.Context) (unlock func(), err error) {
	return o.lock(ctx, LockChange, lockWait)
}
