package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

func (a *app) versionCommand() *cobra.Command {
	cmd := verb("version", "Print the version", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		if json {
			return fail(writeJSON(a.stdout, map[string]string{"version": version, "go": runtime.Version()}), exitFailure)
		}
		return fail(write(a.stdout, "ftpvip %s (%s)\n", version, runtime.Version()), exitFailure)
	}
	return cmd
}
