package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/configs/terminal"
)

// app is what all commands share.
type app struct {
	v      *viper.Viper
	stdout io.Writer
	stderr io.Writer
	op     *operate.Operator // knows its files when the flags are read
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return newApp(stdout, stderr).run(ctx, args)
}

// newApp escapes all output for terminals.
func newApp(stdout, stderr io.Writer) *app {
	return &app{
		v: viper.New(), stdout: terminal.NewWriter(stdout), stderr: terminal.NewWriter(stderr), op: new(operate.Operator).OnHost(),
	}
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return exitCode(root.ExecuteContext(ctx), a.stderr)
}

// begin configures the operator from the flags.
func (a *app) begin(*cobra.Command, []string) error {
	var level slog.Level
	a.op.LogLevel = a.v.GetString("log-level")
	if err := level.UnmarshalText([]byte(a.op.LogLevel)); err != nil {
		return fmt.Errorf("--log-level %q: allowed: debug, info, warn, error", a.op.LogLevel)
	}
	a.op.Log = newLog(a.stderr, level, toJournal(os.Stderr))
	a.op.StateDir = a.v.GetString("state-dir")
	a.op.Source = &operate.Source{Path: a.v.GetString("config"), Overrides: a.v, Log: a.op.Log}
	return nil
}

// entering makes commands enter the state directory before they run. What a command must do as root is in its own PreRunE,
// which runs first.
func (a *app) entering(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		first := cmd.PreRunE
		cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
			if first != nil {
				if err := first(cmd, args); err != nil {
					return fail(err, exitFailure)
				}
			}
			return fail(a.op.Source.Enter(a.op.StateDir), exitFailure)
		}
	}
	return cmds
}
