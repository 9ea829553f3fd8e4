package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/helper/running"
	"ftpvip/rules"
)

func (a *app) disableCommand() *cobra.Command {
	return a.backendVerb("disable POOL/BACKEND", "No new sessions for a backend, and end the running ones", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			return a.disable(cmd.Context(), ref, asJSON)
		})
}

// disabledReport is the document of `disable -o json`.
type disabledReport struct {
	*decision
	running.Ended
}

// disable moves the slots away first, so that who is thrown out does not come back to the same backend.
func (a *app) disable(ctx context.Context, ref configs.Ref, asJSON bool) error {
	d, err := a.setMode(ctx, ref, rules.Disabled)
	if err != nil {
		return err
	}
	cfg, err := a.serving()
	if err != nil {
		return err
	}
	ended, err := running.Reset(ctx, cfg, []configs.Ref{ref})
	if err != nil {
		return fmt.Errorf("%s is disabled, but some of its sessions may go on; run the same command again: %w", ref, err)
	}
	if ended.Silent > 0 {
		a.log.Warn("connections were forgotten without a reset, for they are older than the table: their ends notice when they "+
			"next send something", "connections", ended.Silent)
	}
	if asJSON {
		return writeJSON(a.stdout, disabledReport{d, ended})
	}
	return write(a.stdout, "%s\n%s: ended %d sessions and %d data connections\n", d, ref, ended.Control, ended.Data)
}
