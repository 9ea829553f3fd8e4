package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/rules"
	"ftpvip/rules/change"
)

// DryRun returns the table that apply would create in an empty kernel, as nft text.
func (o *Operator) DryRun() (string, error) {
	cfg, err := o.config()
	if err != nil {
		return "", err
	}
	want, unregistered, err := o.desired(cfg)
	if err != nil {
		return "", err
	}
	addresses, err := o.binding(cfg)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if unregistered {
		fmt.Fprintf(&b, "# The conntrack helper %q is not registered yet: apply does that first, a dry run does not, and\n"+
			"# until then nft refuses this text. Text that loads at once: ftpvip apply --dry-run --carrier sane\n",
			rules.CTHelperName)
	}
	for _, line := range report.Lines(addresses.Text()) {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	return b.String() + want.Text(), nil
}

// MinConfirm and MaxConfirm are the limits of the time to confirm an apply.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// Applied is the result of an apply.
type Applied struct {
	*report.Applied
	Config  *configs.Config
	Pending string // what the apply waits for; "" if it waits for nothing
}

// Apply makes the kernel match the file. If confirm is not 0, the Waiter rolls the apply back after that time unless it is
// confirmed. If the host restarted before an earlier apply was confirmed, Apply rolls that one back instead, and returns nil.
func (o *Operator) Apply(ctx context.Context, confirm time.Duration) (*Applied, error) {
	if o.Waiter != nil {
		defer func() {
			if err := o.Waiter.Leave(); err != nil {
				o.Log.Warn(err.Error())
			}
		}()
	}
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	record, err := o.record()
	if err != nil {
		return nil, err
	}
	if back, err := o.rollBackOverdue(ctx, record); err != nil || back {
		return nil, errors.Join(err, o.explainRollback(back, record))
	}
	if record.Pending != nil {
		return nil, errors.New(record.Pending.Text(o.Clock.Now()))
	}
	cfg, err := o.config() // under the lock: the file may have changed while we waited
	if err != nil {
		return nil, err
	}
	done, err := o.apply(cfg, record, confirm)
	if err == nil {
		o.endGone(ctx, record.Current, cfg)
		o.reloadHelper(ctx)
		for _, s := range o.Host.Saved() {
			o.Log.Warn("a saved ruleset holds our table: nft refuses the whole file at boot where our conntrack helper is not registered yet; take the "+
				"table out, see `ftpvip doctor`", "file", s.File, "line", s.Line)
		}
	}
	return done, err
}

// apply brings a configuration into force. The caller holds the lock.
func (o *Operator) apply(cfg *configs.Config, record inforce.Record, confirm time.Duration) (*Applied, error) {
	want, unregistered, err := o.desired(cfg)
	if err != nil {
		return nil, err
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return nil, err
	}
	defer o.close(k)
	next := inforce.New(o.Source.absolute(), o.file.Load().text, cfg, o.Clock.Now())
	steps, pending, err := o.recordSteps(record, next, k, confirm)
	if err != nil {
		return nil, err
	}
	addresses, err := o.binding(cfg)
	if err != nil {
		return nil, err
	}
	p := &rules.Plan{}
	steps = append(append(o.registerStep(unregistered), steps...), o.bindStep(addresses), o.tableStep(k, want, &p))
	if err := o.Change.Carry(steps...); err != nil {
		return nil, err
	}
	done := &Applied{Applied: report.NewApplied(p, addresses.Text(), k.Written()), Config: cfg}
	switch {
	case pending != nil:
		done.ConfirmUntil, done.Pending = pending.Until, pending.Text(o.Clock.Now())
	case confirm > 0:
		done.Pending = "this configuration was in force already: there is nothing to confirm"
	}
	return done, nil
}

// explainRollback returns the error of an apply that became a rollback. After a restart of the host it is none: the
// configuration that was never confirmed may be why somebody restarted it.
func (o *Operator) explainRollback(back bool, r inforce.Record) error {
	if !back {
		return nil
	}
	if id, err := o.Clock.Boot(); err == nil && id != r.Pending.Boot {
		return nil
	}
	return errors.New("the last apply was never confirmed, so it was rolled back instead of applying the file: run `ftpvip apply` " +
		"again to have the file in force")
}

// recordSteps are the steps that record the configuration in force and, if it must be confirmed, start the waiting process.
func (o *Operator) recordSteps(r inforce.Record, next inforce.Applied, k Table, confirm time.Duration) ([]change.Step, *inforce.Pending, error) {
	if r.Same(next) && r.RolledBack.IsZero() { // the same configuration: only the table can differ
		return nil, nil, nil
	}
	had, err := k.Exists()
	if err != nil {
		return nil, nil, err
	}
	var pending *inforce.Pending
	if confirm > 0 && !r.Same(next) {
		if pending, err = o.newPending(confirm); err != nil {
			return nil, nil, err
		}
	}
	after := r.Apply(next, had, pending)
	if pending != nil && !after.PreviousKnown {
		return nil, nil, fmt.Errorf("%w, so there would be nothing to roll back to: apply the configuration that is in force once "+
			"without --confirm", errNoWayBack)
	}
	step, err := o.recordStep(after)
	if err != nil {
		return nil, nil, err
	}
	steps := []change.Step{step}
	if pending != nil {
		steps = append(steps, o.waitStep(pending))
	}
	return steps, pending, nil
}
