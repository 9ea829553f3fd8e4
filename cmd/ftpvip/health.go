package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

func (a *app) healthCommand() *cobra.Command {
	cmd := verb("health", "Check all backends once and update the slots", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		return fail(a.health(cmd.Context(), json), exitFailure)
	}
	return cmd
}

func (a *app) health(ctx context.Context, asJSON bool) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	unlock, err := a.lock(ctx, lockRound, 0)
	if errors.Is(err, errLocked) {
		a.log.Warn("another round of health checks is still running; this one ends at once")
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	report, err := a.round(ctx, cfg)
	if err != nil {
		return err
	}
	for _, w := range report.Warnings {
		a.log.Warn(w)
	}
	if asJSON {
		err = writeJSON(a.stdout, report)
	} else {
		err = health.WriteText(a.stdout, report)
	}
	if err == nil && len(report.Empty()) > 0 {
		return &exitError{code: exitFailure}
	}
	return err
}

// round probes, judges, remembers, and only then changes the kernel: after a crash the next round finds the
// same state and goes on from there.
func (a *app) round(ctx context.Context, cfg *configs.Config) (health.Report, error) {
	dir, err := a.stateDir()
	if err != nil {
		return health.Report{}, err
	}
	prev, err := a.healthFile(cfg)
	if err != nil {
		return health.Report{}, err
	}
	next, report, err := health.Round(ctx, cfg, prev, health.Options{})
	if err != nil {
		return health.Report{}, err
	}
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return health.Report{}, err
	}
	defer unlock()
	if err := next.Save(dir); err != nil {
		return health.Report{}, err
	}
	return report, a.updateSlots(cfg, next)
}

// updateSlots writes the slot elements that differ, in one transaction.
func (a *app) updateSlots(cfg *configs.Config, file health.File) error {
	want, _, err := build(cfg, file)
	if err != nil {
		return err
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	missing := false
	p, err := commit(k, func() (*rules.Ruleset, error) { return k.ReadSlots(want) },
		func(have *rules.Ruleset) *rules.Plan {
			if missing = have == nil; missing {
				return &rules.Plan{}
			}
			return rules.SlotDiff(have, want)
		})
	if err != nil {
		return err
	}
	if missing {
		a.log.Warn("table inet " + rules.TableName + " is not in the kernel: run ftpvip apply")
		return nil
	}
	if deleted, added := p.Elements(); deleted+added > 0 {
		a.log.Info("slots changed", "deleted", deleted, "added", added)
	}
	return nil
}
