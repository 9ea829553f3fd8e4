package main

import (
	"io"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
)

func (a *app) diffCommand() *cobra.Command {
	cmd := verb("diff", "Show what apply would change (exit code 1: something)", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		return fail(a.diff(json), exitTrouble)
	}
	return cmd
}

func (a *app) diff(asJSON bool) error {
	text, err := a.op.Diff()
	if err != nil {
		return err
	}
	err = a.show(asJSON, report.Changes{Changed: text != "", Changes: report.Lines(text)},
		func(w io.Writer) error { return report.Write(w, "%s", text) })
	if err == nil && text != "" {
		return &exitError{code: exitFailure}
	}
	return err
}
