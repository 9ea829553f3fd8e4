package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"ftpvip/health"
)

func (a *app) healthCommand() *cobra.Command {
	cmd := verb("health", "Check all backends and update the slots: once, or again and again", nil)
	asJSON := outputFlag(cmd)
	watch := cmd.Flags().Bool("watch", false, "go on until SIGTERM, each backend at its interval; for a service, instead of the timer")
	history := cmd.Flags().Bool("history", false, "check nothing, show what happened to backends so far")
	textfile := cmd.Flags().String("textfile", "", "also write the result for Prometheus's textfile collector to this file, NAME.prom")
	cmd.MarkFlagsMutuallyExclusive("watch", "history")
	cmd.MarkFlagsMutuallyExclusive("watch", "output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		switch {
		case err != nil:
			return err
		case *history:
			return fail(a.history(json), exitFailure)
		case *watch:
			return fail(a.op.Watch(cmd.Context(), *textfile), exitFailure)
		}
		return fail(a.round(cmd.Context(), json, *textfile), exitFailure)
	}
	return cmd
}

// history shows what happened to backends.
func (a *app) history(asJSON bool) error {
	events, err := a.op.History()
	if err != nil {
		return err
	}
	return a.show(asJSON, events, func(w io.Writer) error { return health.WriteHistory(w, events) })
}

// errEmpty is the exit code if a pool has no member; the report says which.
var errEmpty = &exitError{code: exitFailure}

func (a *app) round(ctx context.Context, asJSON bool, textfile string) error {
	empty := false
	err := a.op.Round(ctx, func(r health.Report) error {
		empty = len(r.Empty()) > 0
		var failed error
		if textfile != "" {
			failed = health.WriteTextfile(textfile, r)
		}
		return errors.Join(failed, a.show(asJSON, r, func(w io.Writer) error { return health.WriteText(w, r) }))
	})
	if err == nil && empty {
		return errEmpty
	}
	return err
}
