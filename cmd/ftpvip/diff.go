package main

import (
	"github.com/spf13/cobra"

	"ftpvip/rules"
	"ftpvip/rules/kernel"
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
	cfg, err := a.config()
	if err != nil {
		return err
	}
	want, _, err := a.desired(cfg)
	if err != nil {
		return err
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	have, err := k.Read(want)
	if err != nil {
		return err
	}
	p := rules.Diff(have, want)
	if asJSON {
		err = writeJSON(a.stdout, map[string]any{"changed": !p.Empty(), "changes": lines(p.Text())})
	} else {
		err = write(a.stdout, "%s", p.Text())
	}
	if err == nil && !p.Empty() {
		return &exitError{code: exitFailure}
	}
	return err
}
