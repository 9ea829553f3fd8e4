package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) helperCommand() *cobra.Command {
	return verb("helper", "Run the conntrack helper in the foreground", func(ctx context.Context) error {
		return a.op.Helper(ctx, version)
	})
}
