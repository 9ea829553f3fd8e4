package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/health"
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
	decisions, err := a.adminFile() // read under the lock: a drain may have come while we probed
	if err != nil {
		return health.Report{}, err
	}
	p, err := a.updateSlots(cfg, known{next, decisions})
	if err != nil {
		return health.Report{}, err
	}
	if deleted, added := p.Elements(); deleted+added > 0 {
		a.log.Info("slots changed", "deleted", deleted, "added", added)
	}
	return report, nil
}
