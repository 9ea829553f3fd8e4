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
	addresses, err := bindingText(cfg)
	if err != nil {
		return err
	}
	text := addresses + rules.Diff(have, want).Text()
	if asJSON {
		err = writeJSON(a.stdout, map[string]any{"changed": text != "", "changes": lines(text)})
	} else {
		err = write(a.stdout, "%s", text)
	}
	if err == nil && text != "" {
		return &exitError{code: exitFailure}
	}
	return err
}
