package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/cmd/ftpvip/report"
)

func (a *app) applyCommand() *cobra.Command {
	cmd := verb("apply", "Make the kernel match the configuration", nil)
	dryRun := cmd.Flags().Bool("dry-run", false, "change nothing, print the whole table as nft text")
	confirm := cmd.Flags().Duration("confirm", 0, "roll back after this time, such as 60s, unless ftpvip confirm follows")
	asJSON := outputFlag(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if *dryRun || !cmd.Flags().Changed("confirm") {
			return nil
		}
		if *confirm < operate.MinConfirm || *confirm > operate.MaxConfirm {
			return &exitError{exitUsage, fmt.Errorf("--confirm %s: allowed: %s to %s", *confirm, operate.MinConfirm, operate.MaxConfirm)}
		}
		return a.op.StartWaiter(*confirm)
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

func (a *app) dryRun() error {
	text, err := a.op.DryRun()
	if err != nil {
		return err
	}
	return report.Write(a.stdout, "%s", text)
}

func (a *app) apply(ctx context.Context, confirm time.Duration, asJSON bool) error {
	done, err := a.op.Apply(ctx, confirm)
	if err != nil || done == nil {
		return err
	}
	return a.show(asJSON, done.Applied, func(w io.Writer) error {
		if err := done.WriteText(w, done.Config); err != nil || done.Pending == "" {
			return err
		}
		return report.Write(w, "%s\n", done.Pending)
	})
}
