package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/terminal"
	"ftpvip/helper/carrier"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
	"ftpvip/rules/kernel"
)

func (a *app) rollbackCommand() *cobra.Command {
	cmd := verb("rollback", "Bring back what was in force before the last apply", nil)
	dryRun := cmd.Flags().Bool("dry-run", false, "change nothing, show what would change")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		return fail(a.rollback(cmd.Context(), *dryRun, json), exitFailure)
	}
	return cmd
}

func (a *app) rollback(ctx context.Context, dryRun, asJSON bool) error {
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := a.record()
	if err != nil {
		return err
	}
	back, err := a.rollBack(r, dryRun)
	if err != nil {
		return err
	}
	if !dryRun {
		a.reloadHelper(ctx)
	}
	if asJSON {
		return writeJSON(a.stdout, map[string]any{"changed": !back.plan.Empty() || back.removed || !back.addresses.Empty(), "changes": back.changes(), "dry_run": dryRun})
	}
	if dryRun {
		for _, line := range back.changes() {
			if err := write(a.stdout, "%s\n", line); err != nil {
				return err
			}
		}
		return nil
	}
	return write(a.stdout, "%s\n", back)
}

// wayBack is what a rollback did, or would do.
type wayBack struct {
	to      *inforce.Applied // nil: no table
	plan    *rules.Plan
	removed bool // the whole table

	addresses bind.Plan
}

func (w *wayBack) changes() []string {
	if w.removed {
		return append(lines(w.addresses.Text()), "- table inet "+rules.TableName)
	}
	return lines(w.addresses.Text() + w.plan.Text())
}

// String says it in a line.
func (w *wayBack) String() string {
	if w.to == nil {
		return fmt.Sprintf("rolled back: table inet %s was not there before, and is removed", rules.TableName)
	}
	deleted, added := w.plan.Elements()
	return fmt.Sprintf("rolled back to the configuration of %s: %d elements deleted, %d added; it stays in force until the next "+
		"`ftpvip apply`, so mend %s first", w.to.At.Format(time.RFC3339), deleted, added, terminal.Line(w.to.File))
}

// errNoWayBack says that nothing is remembered.
var errNoWayBack = errors.New("no way back: what was in force before the last apply is not known")

// rollBack brings the previous configuration into force. What is known of the backends now goes into it: a backend that
// died or was drained since does not come back to life. The caller holds the lock.
func (a *app) rollBack(r inforce.Record, dryRun bool) (*wayBack, error) {
	if !r.PreviousKnown {
		return nil, fmt.Errorf("%w; write the old configuration to %s and run `ftpvip apply`", errNoWayBack, a.v.GetString("config"))
	}
	k, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	defer a.close(k)
	back := &wayBack{to: r.Previous, plan: &rules.Plan{}}
	remember, err := a.remember(r.RollBack(time.Now()))
	if err != nil {
		return nil, err
	}
	var cfg *configs.Config
	if back.to != nil {
		if cfg, err = back.to.Config(); err != nil {
			return nil, err
		}
	}
	if back.addresses, err = binding(cfg); err != nil {
		return nil, err
	}
	if back.to == nil {
		remove := change.Step{Name: "removing the table", Do: func() (err error) {
			back.removed, err = k.Flush()
			return err
		}}
		if dryRun {
			back.removed = true
			return back, nil
		}
		return back, a.change.Carry(remember, bind.Step(back.addresses), remove)
	}
	want, unregistered, err := a.desired(cfg)
	if err != nil {
		return nil, err
	}
	if dryRun {
		have, err := k.Read(want)
		if err != nil {
			return nil, err
		}
		back.plan = rules.Diff(have, want)
		return back, nil
	}
	return back, a.change.Carry(append(registration(unregistered), remember, bind.Step(back.addresses), a.writing(k, want, &back.plan))...)
}

// registration is the step that registers the carrier where that is needed.
func registration(unregistered bool) []change.Step {
	if !unregistered {
		return nil
	}
	return []change.Step{{Name: "registering the conntrack helper", Do: carrier.Register, Undo: carrier.Unregister}}
}

// writing is the step that makes the kernel's table match; what it did goes to p.
func (a *app) writing(k *kernel.Kernel, want *rules.Ruleset, p **rules.Plan) change.Step {
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
func (a *app) reloadHelper(ctx context.Context) {
	if err := live.Reload(ctx, a.socket()); err != nil && !errors.Is(err, live.ErrNotRunning) {
		a.log.Warn("the helper is not told of the configuration that was restored; do it with `systemctl reload ftpvip-helper`", "err", err)
	}
}

// settleOverdue rolls an apply back whose confirmation never came, where the process that should have done it is no
// more. It tells whether it did. The caller holds the lock.
func (a *app) settleOverdue(ctx context.Context, r inforce.Record) (bool, error) {
	if r.Pending == nil {
		return false, nil
	}
	id, err := boot()
	if err != nil || !r.Overdue(time.Now().Add(-overdueGrace), id) {
		return false, err
	}
	back, err := a.rollBack(r, false)
	if err != nil {
		return false, fmt.Errorf("rolling back an apply that was not confirmed: %w", err)
	}
	a.log.Warn("an apply was not confirmed, and the process that should have rolled it back is no more: this is done now",
		"until", r.Pending.Until, "result", back.String())
	a.reloadHelper(ctx)
	return true, nil
}

// overdueGrace is left to the process whose work it is.
const overdueGrace = 2 * time.Second
