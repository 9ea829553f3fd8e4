package main

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
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
		d := report.Version{Go: runtime.Version(), Version: version}
		return fail(a.show(json, d, func(w io.Writer) error { return report.Write(w, "ftpvip %s (%s)\n", d.Version, d.Go) }), exitFailure)
	}
	return cmd
}
