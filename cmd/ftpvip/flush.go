package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) flushCommand() *cobra.Command {
	cmd := verb("flush", "Remove our table", func(ctx context.Context) error {
		done, err := a.op.Flush(ctx)
		if err != nil {
			return err
		}
		return done.WriteText(a.stdout)
	})
	cmd.Long = "Remove our table. Established connections go on where the host has other rules for NAT. Where ours were the last, " +
		"the kernel stops translating, and they are reset"
	return cmd
}
