package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
)

func (a *app) confirmCommand() *cobra.Command {
	return verb("confirm", "Keep what `apply --confirm` applied", func(ctx context.Context) error {
		applied, err := a.op.Confirm(ctx)
		if err != nil {
			return err
		}
		return report.Write(a.stdout, "confirmed: the configuration of %s stays in force\n", applied.Format(time.RFC3339))
	})
}

// awaitCommand is what `apply --confirm` leaves behind.
func (a *app) awaitCommand() *cobra.Command {
	cmd := verb("await-confirm", "Roll an apply back after some time unless it is confirmed", nil)
	cmd.Hidden = true
	after := cmd.Flags().Duration("after", 0, "how long to wait")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return fail(a.op.AwaitConfirm(cmd.Context(), a.stdout, *after), exitFailure)
	}
	return cmd
}
