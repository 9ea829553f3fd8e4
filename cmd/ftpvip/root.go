package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// verb makes a command of a function; its errors exit with 1 unless they say otherwise.
func verb(use, short string, f func(ctx context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return fail(f(cmd.Context()), exitFailure) },
	}
}

// root makes the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "ftpvip",
		Short:         "A farm of FTP servers behind one virtual IP",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("a command is missing")
		},
		PersistentPreRunE: a.begin,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	a.flags(root)
	root.AddCommand(a.entering(a.checkCommand(), a.applyCommand(), a.registerCommand(), a.diffCommand(), a.flushCommand(), a.helperCommand(),
		a.healthCommand(), a.statusCommand(), a.sessionsCommand(),
		a.doctorCommand(), a.drainCommand(), a.disableCommand(), a.enableCommand(), a.weightCommand(),
		a.confirmCommand(), a.rollbackCommand(), a.awaitCommand())...)
	root.AddCommand(a.versionCommand(), a.docsCommand())
	return root
}

// flags defines those of all commands; each may come from the environment.
func (a *app) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringP("config", "c", "/etc/ftpvip/ftpvip.yaml", "configuration file")
	f.String("state-dir", "/var/lib/ftpvip", "directory of the lock, health state, admin state and sockets")
	f.String("log-level", "info", "debug, info, warn or error")
	f.Int("queues", 2, "overrides helper.queues of the configuration")
	f.Int("first-queue", 2100, "overrides helper.first_queue of the configuration")
	f.String("carrier", "auto", "overrides helper.carrier of the configuration")
	a.v.SetEnvPrefix("FTPVIP")
	a.v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	a.v.AutomaticEnv()
	for key, flag := range map[string]string{
		"config": "config", "state-dir": "state-dir", "log-level": "log-level",
		"helper.queues": "queues", "helper.first_queue": "first-queue", "helper.carrier": "carrier",
	} {
		if err := a.v.BindPFlag(key, f.Lookup(flag)); err != nil {
			panic(err) // the flag was defined above
		}
	}
}
