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
		return fail(a.round(cmd.Context(), json, *textfile), exitTrouble)
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

// errTold is the exit code of trouble that the document told.
var errTold = &exitError{code: exitFailure}

func (a *app) round(ctx context.Context, asJSON bool, textfile string) error {
	bad := false
	err := a.op.Round(ctx, func(r health.Report) error {
		bad = len(r.Empty()) > 0 || !r.Table.Whole()
		var failed error
		if textfile != "" {
			failed = health.WriteTextfile(textfile, r)
		}
		return errors.Join(failed, a.show(asJSON, r, func(w io.Writer) error { return health.WriteText(w, r) }))
	})
	if err == nil && bad {
		return errTold
	}
	return err
}
