package main

import (
	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := verb("check", "Validate the configuration", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		return fail(a.check(json), exitFailure)
	}
	return cmd
}

func (a *app) check(asJSON bool) error {
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
	backends := 0
	for i := range cfg.Pools {
		backends += len(cfg.Pools[i].Backends)
	}
	if asJSON {
		return writeJSON(a.stdout, map[string]any{
			"file": a.v.GetString("config"), "valid": true,
			"vips": len(cfg.VIPs), "pools": len(cfg.Pools), "backends": backends,
		})
	}
	return write(a.stdout, "%s is valid: VIPs %d, pools %d, backends %d\n",
		a.v.GetString("config"), len(cfg.VIPs), len(cfg.Pools), backends)
}
