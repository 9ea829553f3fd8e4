package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs/inforce"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/change"
)

// Rollback brings back what was in force before the last apply, or says what would change.
func (o *Operator) Rollback(ctx context.Context, dryRun bool) (*report.RolledBack, error) {
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := o.record()
	if err != nil {
		return nil, err
	}
	back, err := o.rollBack(r, dryRun)
	if err != nil {
		return nil, err
	}
	if !dryRun {
		o.reloadHelper(ctx)
	}
	return back, nil
}

// errNoWayBack says that no earlier configuration is recorded.
var errNoWayBack = errors.New("no way back: what was in force before the last apply is not known")

// rollBack brings the previous configuration into force, with the current state of the backends: one that failed or was
// drained since then stays out. The caller holds the lock.
func (o *Operator) rollBack(r inforce.Record, dryRun bool) (*report.RolledBack, error) {
	if !r.PreviousKnown {
		return nil, fmt.Errorf("%w; write the old configuration to %s and run `ftpvip apply`", errNoWayBack, o.Source.Path)
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return nil, err
	}
	defer o.close(k)
	remember, err := o.recordStep(r.RollBack(o.Clock.Now()))
	if err != nil {
		return nil, err
	}
	if r.Previous == nil {
		return o.rollBackToNone(k, remember, dryRun)
	}
	cfg, err := r.Previous.Config()
	if err != nil {
		return nil, err
	}
	addresses, err := o.binding(cfg)
	if err != nil {
		return nil, err
	}
	want, unregistered, err := o.desired(cfg)
	if err != nil {
		return nil, err
	}
	p := &rules.Plan{}
	if dryRun {
		have, err := k.Read(want)
		if err != nil {
			return nil, err
		}
		p = rules.Diff(have, want)
	} else if err := o.Change.Carry(append(o.registerStep(unregistered), remember, o.bindStep(addresses), o.tableStep(k, want, &p))...); err != nil {
		return nil, err
	}
	text := addresses.Text() + p.Text()
	back := &report.RolledBack{Changed: text != "", Changes: report.Lines(text), DryRun: dryRun, To: r.Previous}
	back.Deleted, back.Added = p.Elements()
	return back, nil
}

// rollBackToNone removes our table: there was none before.
func (o *Operator) rollBackToNone(k Table, remember change.Step, dryRun bool) (*report.RolledBack, error) {
	addresses, err := o.binding(nil)
	if err != nil {
		return nil, err
	}
	removed := dryRun
	remove := change.Step{Name: "removing the table", Do: func() (err error) {
		removed, err = k.Flush()
		return err
	}}
	if !dryRun {
		if err := o.Change.Carry(remember, o.bindStep(addresses), remove); err != nil {
			return nil, err
		}
	}
	changes := report.Lines(addresses.Text())
	if removed {
		changes = append(changes, "- table inet "+rules.TableName)
	}
	return &report.RolledBack{Changed: len(changes) > 0, Changes: changes, DryRun: dryRun}, nil
}

// tableStep is the step that makes the kernel's table match; it stores what it did in p.
func (o *Operator) tableStep(k Table, want *rules.Ruleset, p **rules.Plan) change.Step {
	return change.Step{Name: "changing the kernel's table", Do: func() error {
		done, err := commitTo(want, k, func() (*rules.Ruleset, error) { return k.Read(want) },
			func(have *rules.Ruleset) *rules.Plan { return rules.Diff(have, want) })
		if err == nil {
			*p = done
		}
		return err
	}}
}

// reloadHelper makes a running helper read the configuration that is in force now.
func (o *Operator) reloadHelper(ctx context.Context) {
	if err := live.Reload(ctx, o.socket()); err != nil && !errors.Is(err, live.ErrNotRunning) {
		o.Log.Warn("cannot reload the helper, so it works with the configuration before; run `systemctl reload ftpvip-helper`", "err", err)
	}
}

// rollBackOverdue rolls back an apply that was not confirmed in time, if the waiting process has exited. It reports whether it
// did. The caller holds the lock.
func (o *Operator) rollBackOverdue(ctx context.Context, r inforce.Record) (bool, error) {
	if r.Pending == nil {
		return false, nil
	}
	id, err := o.Clock.Boot()
	if err != nil || !r.Overdue(o.Clock.Now().Add(-overdueGrace), o.Clock.Up()-overdueGrace, id) {
		return false, err
	}
	back, err := o.rollBack(r, false)
	if err != nil {
		return false, fmt.Errorf("rolling back an apply that was not confirmed: %w", err)
	}
	o.Log.Warn("an apply was not confirmed, and the process that should have rolled it back has exited; rolled back now",
		"until", r.Pending.Until, "result", back.String())
	o.reloadHelper(ctx)
	return true, nil
}

// overdueGrace is the time that the waiting process has to roll back by itself.
const overdueGrace = 2 * time.Second
