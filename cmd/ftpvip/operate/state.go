package operate

import (
	"context"
	"fmt"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/statedir"
	"ftpvip/health"
	"ftpvip/rules/admin"
	"ftpvip/rules/change"
)

// loaded is the configuration that the file had when it was last read, with its text.
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

// serving loads the configuration that checks and the helper work with: the file's, but after a rollback what was
// restored, until the next apply.
func (o *Operator) serving() (*configs.Config, error) {
	r, err := o.record()
	if err != nil {
		return nil, err
	}
	if r.RolledBack.IsZero() || r.Current == nil {
		return o.config()
	}
	cfg, err := o.Source.parse(r.Current.File, r.Current.Text)
	if err != nil {
		return nil, fmt.Errorf("the configuration that a rollback restored is not valid any more; run `ftpvip apply`: %w", err)
	}
	o.Log.Warn("the file is not in force: its configuration was rolled back; mend it and run `ftpvip apply`",
		"file", r.Current.File, "since", r.RolledBack)
	return cfg, nil
}

// record reads what is in force, and logs what is wrong with that file.
func (o *Operator) record() (inforce.Record, error) {
	r, warnings, err := inforce.Load(o.StateDir)
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return r, err
}

// forSlots is the configuration for the slots of the table that is in the kernel: the one that was applied, or
// restored, last. A file that was edited since, or a program that read it then, changes no slots. cfg stands in where
// nothing is recorded. The caller holds the lock.
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

// remember is the step that writes another record.
func (o *Operator) remember(r inforce.Record) (change.Step, error) {
	dir := o.StateDir
	restore, err := inforce.Snapshot(dir)
	return change.Step{Name: "writing what is in force", Do: func() error { return r.Save(dir) }, Undo: restore}, err
}

// healthFile reads what is known of the backends, and logs what is wrong with it.
func (o *Operator) healthFile(cfg *configs.Config) (health.File, error) {
	file, warnings, err := health.Load(o.StateDir, cfg)
	for _, w := range warnings {
		o.Log.Warn(w)
	}
	return file, err
}

// known reads what is known of the backends, and logs what is wrong with the files. Who changes the kernel by it holds
// the lock.
func (o *Operator) known(cfg *configs.Config) (health.Known, error) {
	file, err := o.healthFile(cfg)
	if err != nil {
		return health.Known{}, err
	}
	decisions, err := o.adminFile()
	return health.Known{Health: file, Admin: decisions}, err
}

// adminFile reads what an admin decided, and logs what is wrong with it.
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
