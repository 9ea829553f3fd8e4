package main

import (
	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := verb("check", "Validate the configuration", nil)
	asJSON := outputFlag(cmd)
	forServers := cmd.Flags().Bool("servers", false,
		"print the lines that the FTP servers' own configurations need for passive_ports (FTPS)")
	cmd.RunE = func(*cobra.Command, []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		return fail(a.check(json, *forServers), exitFailure)
	}
	return cmd
}

func (a *app) check(asJSON, forServers bool) error {
	cfg, advice, err := a.op.Check()
	if err != nil {
		return err
	}
	if forServers && !asJSON {
		if len(advice.Servers) == 0 {
			a.op.Log.Info("no backend has passive_ports: there is nothing that servers have to be told")
		}
		return report.Write(a.stdout, "%s", advice.Text())
	}
	d := report.NewChecked(a.op.Source.Path, cfg, advice)
	return a.show(asJSON, d, d.WriteText)
}
