package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
	"ftpvip/rules/kernel"
)

func (a *app) applyCommand() *cobra.Command {
	cmd := verb("apply", "Make the kernel match the configuration", nil)
	dryRun := cmd.Flags().Bool("dry-run", false, "change nothing, print the whole table as nft text")
	confirm := cmd.Flags().Duration("confirm", 0, "roll back after this time, such as 60s, unless ftpvip confirm follows")
	asJSON := outputFlag(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *dryRun || !cmd.Flags().Changed("confirm") {
			return nil
		}
		if *confirm < time.Second || *confirm > maxConfirm {
			return &exitError{exitUsage, fmt.Errorf("--confirm %s: allowed: 1s to %s", *confirm, maxConfirm)}
		}
		a.waiter, err = a.startWaiter(*confirm)
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		if *dryRun {
			return fail(a.dryRun(), exitFailure)
		}
		return fail(a.apply(cmd.Context(), *confirm, json), exitFailure)
	}
	return cmd
}

// dryRun prints what apply would make of an empty kernel.
func (a *app) dryRun() error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	want, unregistered, err := a.desired(cfg)
	if err != nil {
		return err
	}
	if unregistered {
		err := write(a.stdout, "# The conntrack helper %q is not registered yet: apply does that first, a dry run does not, and\n"+
			"# until then nft refuses this text. Text that loads at once: ftpvip apply --dry-run --carrier sane\n",
			rules.CTHelperName)
		if err != nil {
			return err
		}
	}
	addresses, err := binding(cfg)
	if err != nil {
		return err
	}
	for _, line := range lines(addresses.Text()) {
		if err := write(a.stdout, "# %s\n", line); err != nil {
			return err
		}
	}
	return write(a.stdout, "%s", want.Text())
}

// maxConfirm is the longest time that an apply may wait for its confirmation.
const maxConfirm = 24 * time.Hour

// apply makes the kernel match the file. With a time to confirm it is rolled back after that.
func (a *app) apply(ctx context.Context, confirm time.Duration, asJSON bool) error {
	if a.waiter != nil {
		defer func() {
			if err := a.waiter.leave(); err != nil {
				a.log.Warn(err.Error())
			}
		}()
	}
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	record, err := a.record()
	if err != nil {
		return err
	}
	if back, err := a.settleOverdue(ctx, record); err != nil || back {
		return errors.Join(err, unconfirmedApply(back, record))
	}
	if record.Pending != nil {
		return errors.New(pendingText(record.Pending, time.Now()))
	}
	cfg, err := a.config() // under the lock: who waited must not apply what was there before
	if err != nil {
		return err
	}
	want, unregistered, err := a.desired(cfg)
	if err != nil {
		return err
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	next := inforce.New(a.absolute("config"), a.file.Load().text, cfg, time.Now())
	steps, pending, err := a.promise(record, next, k, confirm)
	if err != nil {
		return err
	}
	addresses, err := binding(cfg)
	if err != nil {
		return err
	}
	p := &rules.Plan{}
	steps = append(append(registration(unregistered), steps...), bind.Step(addresses), a.writing(k, want, &p))
	if err := a.change.Carry(steps...); err != nil {
		return err
	}
	return a.printApplied(cfg, applied{p, addresses, k.Written()}, pending, confirm > 0, asJSON)
}

// unconfirmedApply says why an apply became a rollback. After a restart of the host that is what apply is for: the
// configuration that was never confirmed may be why somebody restarted it.
func unconfirmedApply(back bool, r inforce.Record) error {
	if !back {
		return nil
	}
	if id, err := boot(); err == nil && id != r.Pending.Boot {
		return nil
	}
	return errors.New("the last apply was never confirmed, so it was rolled back instead of applying the file: run `ftpvip apply` " +
		"again to have the file in force")
}

// promise makes the steps that write down what will be in force, and that see to its end where it has to be confirmed.
func (a *app) promise(r inforce.Record, next inforce.Applied, k *kernel.Kernel, confirm time.Duration) ([]change.Step, *inforce.Pending, error) {
	if r.Same(next) && r.RolledBack.IsZero() { // only the table can differ: there is nothing to go back to
		return nil, nil, nil
	}
	had, err := k.Exists()
	if err != nil {
		return nil, nil, err
	}
	var pending *inforce.Pending
	if confirm > 0 && !r.Same(next) {
		if pending, err = newPending(confirm); err != nil {
			return nil, nil, err
		}
	}
	after := r.Apply(next, had, pending)
	if pending != nil && !after.PreviousKnown {
		return nil, nil, fmt.Errorf("%w, so there would be nothing to roll back to: apply the configuration that is in force once "+
			"without --confirm", errNoWayBack)
	}
	step, err := a.remember(after)
	if err != nil {
		return nil, nil, err
	}
	steps := []change.Step{step}
	if pending != nil {
		steps = append(steps, a.waiting(pending))
	}
	return steps, pending, nil
}

// absolute is the path that a flag names, for processes that run elsewhere.
func (a *app) absolute(key string) string {
	if path, err := filepath.Abs(a.v.GetString(key)); err == nil {
		return path
	}
	return a.v.GetString(key)
}

// applied is what an apply has done.
type applied struct {
	table     *rules.Plan
	addresses bind.Plan
	written   int // bytes, to nf_tables
}

func (a *app) printApplied(cfg *configs.Config, done applied, pending *inforce.Pending, confirm, asJSON bool) error {
	p := done.table
	deleted, added := p.Elements()
	if asJSON {
		doc := map[string]any{
			"changed":          !p.Empty() || !done.addresses.Empty(),
			"elements_only":    !p.Empty() && p.ElementsOnly() && done.addresses.Empty(),
			"elements_deleted": deleted, "elements_added": added, "changes": lines(done.addresses.Text() + p.Text()),
			"netlink_bytes": done.written,
		}
		if pending != nil {
			doc["confirm_until"] = pending.Until
		}
		return writeJSON(a.stdout, doc)
	}
	what := "nothing changed"
	switch {
	case p.Has(rules.Delete, rules.KindTable):
		what = fmt.Sprintf("made anew, %d elements", added)
	case p.Has(rules.Add, rules.KindTable):
		what = fmt.Sprintf("created, %d elements", added)
	case !p.Empty() && p.ElementsOnly():
		what = fmt.Sprintf("changed: %d elements deleted, %d added", deleted, added)
	case !p.Empty():
		what = fmt.Sprintf("changed: %d elements deleted, %d added, and more than elements", deleted, added)
	}
	wait := ""
	switch {
	case pending != nil:
		wait = pendingText(pending, time.Now()) + "\n"
	case confirm:
		wait = "this configuration was in force already: there is nothing to confirm\n"
	}
	return write(a.stdout, "table inet %s: %s (VIPs %d, pools %d)\n%s%s", rules.TableName, what, len(cfg.VIPs), len(cfg.Pools),
		done.addresses.Text(), wait)
}

// close closes the kernel's connection; there is nothing that an admin could do about an error.
func (a *app) close(k *kernel.Kernel) {
	if err := k.Close(); err != nil {
		a.log.Debug("cannot close the netlink socket", "err", err)
	}
}

func lines(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
