package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) registerCommand() *cobra.Command {
	cmd := verb("register", "Make our conntrack helper known to the kernel; apply does it as well", func(context.Context) error {
		return a.op.Register()
	})
	cmd.Long = "Registers the conntrack helper that carries control connections, where the configuration asks for it and the kernel has\n" +
		"nfnetlink_cthelper. For ftpvip-carrier.service: a saved ruleset with our table in it loads only after that."
	return cmd
}
