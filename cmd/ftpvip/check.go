package main

import (
	"github.com/spf13/cobra"

	"ftpvip/configs/servers"
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
	cfg, err := a.config()
	if err != nil {
		return err
	}
	decisions, err := a.adminFile()
	if err != nil {
		return err
	}
	for _, w := range strangers(cfg, decisions) {
		a.log.Warn(w)
	}
	if _, err := a.usable(cfg); err != nil {
		return err
	}
	advice := servers.For(cfg)
	for _, w := range advice.Warnings {
		a.log.Warn(w)
	}
	backends := 0
	for i := range cfg.Pools {
		backends += len(cfg.Pools[i].Backends)
	}
	if asJSON {
		return writeJSON(a.stdout, map[string]any{
			"file": a.v.GetString("config"), "valid": true,
			"vips": len(cfg.VIPs), "pools": len(cfg.Pools), "backends": backends,
			"passive": advice,
		})
	}
	if forServers {
		if len(advice.Servers) == 0 {
			a.log.Info("no backend has passive_ports: there is nothing that servers have to be told")
		}
		return write(a.stdout, "%s", advice.Text())
	}
	return write(a.stdout, "%s is valid: VIPs %d, pools %d, backends %d\n",
		a.v.GetString("config"), len(cfg.VIPs), len(cfg.Pools), backends)
}
