package main

import (
	"github.com/spf13/cobra"
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
		done, err := a.op.Rollback(cmd.Context(), *dryRun)
		if err != nil {
			return fail(err, exitFailure)
		}
		return fail(a.show(json, done, done.WriteText), exitFailure)
	}
	return cmd
}
