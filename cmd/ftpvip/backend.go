package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// backendVerb makes a command whose first argument names a backend.
func (a *app) backendVerb(use, short string, args int, f func(cmd *cobra.Command, ref configs.Ref, rest []string, asJSON bool) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args)}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		ref, err := admin.ParseRef(words[0])
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w; `ftpvip status` lists the backends", err)}
		}
		return fail(f(cmd, ref, words[1:], json), exitFailure)
	}
	return cmd
}

func (a *app) enableCommand() *cobra.Command {
	return a.backendVerb("enable POOL/BACKEND", "Take back drain and disable", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			d, err := a.op.SetMode(cmd.Context(), ref, rules.Enabled)
			return a.showDecided(d, err, asJSON)
		})
}

func (a *app) weightCommand() *cobra.Command {
	return a.backendVerb("weight POOL/BACKEND N|default", "Give a backend another weight than the configured one", 2,
		func(cmd *cobra.Command, ref configs.Ref, rest []string, asJSON bool) error {
			weight, err := admin.ParseWeight(rest[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			d, err := a.op.SetWeight(cmd.Context(), ref, weight)
			return a.showDecided(d, err, asJSON)
		})
}

func (a *app) disableCommand() *cobra.Command {
	return a.backendVerb("disable POOL/BACKEND", "No new sessions for a backend, and end the running ones", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			d, err := a.op.Disable(cmd.Context(), ref)
			if err != nil {
				return err
			}
			return a.show(asJSON, d, func(w io.Writer) error {
				return report.Write(w, "%s\n%s: ended %d sessions and %d data connections\n", d.Decided, ref, d.Control, d.Data)
			})
		})
}

func (a *app) showDecided(d *report.Decided, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	return a.show(asJSON, d, func(w io.Writer) error { return report.Write(w, "%s\n", d) })
}
