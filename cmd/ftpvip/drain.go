package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/rules"
)

func (a *app) drainCommand() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := a.backendVerb("drain POOL/BACKEND", "No new sessions for a backend; running ones go on", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			switch {
			case cmd.Flags().Changed("timeout") && !wait:
				return &exitError{exitUsage, errors.New("--timeout says how long --wait waits: give both")}
			case timeout < 0:
				return &exitError{exitUsage, fmt.Errorf("--timeout %s: allowed: 0 (no end) or more", timeout)}
			}
			d, err := a.op.SetMode(cmd.Context(), ref, rules.Drained)
			if err == nil && wait {
				return a.drained(cmd.Context(), ref, d, timeout, asJSON)
			}
			return a.showDecided(d, err, asJSON)
		})
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the last session has ended")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait, such as 90s or 2h; 0: as long as it takes")
	return cmd
}

// drained waits for the end of a backend's sessions.
func (a *app) drained(ctx context.Context, ref configs.Ref, d *report.Decided, timeout time.Duration, asJSON bool) error {
	if !asJSON {
		if err := a.showDecided(d, nil, false); err != nil {
			return err
		}
	}
	begun := time.Now()
	left, err := a.op.AwaitIdle(ctx, ref, timeout, progress(a.stdout, ref, asJSON))
	waited := time.Since(begun)
	if asJSON && (err == nil || errors.Is(err, operate.ErrStillRunning)) {
		if err := report.WriteJSON(a.stdout, report.Drained{Decided: d, Sessions: left, Seconds: waited.Seconds()}); err != nil {
			return err
		}
	}
	if err != nil || asJSON {
		return err
	}
	return report.Write(a.stdout, "%s: the last session has ended, after %s\n", ref, waited.Round(time.Second))
}
