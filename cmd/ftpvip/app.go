package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/configs/terminal"
	"ftpvip/rules/change"
)

// Exit codes, see DESIGN. Those of 64 and more are from sysexits.h.
const (
	exitOK         = 0
	exitFailure    = 1
	exitTrouble    = 2 // of diff
	exitUsage      = 64
	exitPermission = 77
	exitConfig     = 78
)

// app is what all verbs share.
type app struct {
	v      *viper.Viper
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	change change.Runner // carries out the steps of what changes kernel and state files
	file   atomic.Pointer[loaded]
	seen   seen     // while we were root
	waiter *waiter  // of apply --confirm
	early  *os.File // the configuration, opened while we were root; nil: it is opened when it is needed
}

// exitError carries an exit code. Its error may be nil: then everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return newApp(stdout, stderr).run(ctx, args)
}

// newApp makes all that is printed harmless to terminals.
func newApp(stdout, stderr io.Writer) *app {
	return &app{v: viper.New(), stdout: terminal.NewWriter(stdout), stderr: terminal.NewWriter(stderr), change: change.Plain}
}

func (a *app) run(ctx context.Context, args []string) int {
	stderr := a.stderr
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		// cobra's own errors: unknown commands, flags and arguments
		_, _ = fmt.Fprintf(stderr, "ftpvip: %v\nRun 'ftpvip --help' for usage.\n", err)
		return exitUsage
	}
	if exit.err != nil {
		_, _ = fmt.Fprintf(stderr, "ftpvip: %v\n", exit.err)
	}
	return exit.code
}

// fail gives an error the exit code that it deserves; other is the code where nothing special is known.
func fail(err error, other int) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	_, bad := errors.AsType[*configs.Error](err)
	switch {
	case bad && !errors.Is(err, fs.ErrPermission):
		return &exitError{exitConfig, err}
	case bad:
		return &exitError{exitPermission, err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, fs.ErrPermission):
		return &exitError{exitPermission, fmt.Errorf("%w\nftpvip needs root, or CAP_NET_ADMIN and a writable state directory", err)}
	}
	return &exitError{other, err}
}

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
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.startLog() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
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
	root.AddCommand(a.entering(a.checkCommand(), a.applyCommand(), a.diffCommand(), a.flushCommand(), a.helperCommand(),
		a.healthCommand(), a.statusCommand(), a.sessionsCommand(),
		a.doctorCommand(), a.drainCommand(), a.disableCommand(), a.enableCommand(), a.weightCommand(),
		a.confirmCommand(), a.rollbackCommand(), a.awaitCommand())...)
	root.AddCommand(a.versionCommand(), a.docsCommand())
	return root
}

func (a *app) startLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.v.GetString("log-level"))); err != nil {
		return fmt.Errorf("--log-level %q: allowed: debug, info, warn, error", a.v.GetString("log-level"))
	}
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// outputFlag adds -o to a command and returns what reads it.
func outputFlag(cmd *cobra.Command) func() (asJSON bool, err error) {
	output := cmd.Flags().StringP("output", "o", "text", "text or json")
	return func() (bool, error) {
		switch *output {
		case "text":
			return false, nil
		case "json":
			return true, nil
		}
		return false, &exitError{exitUsage, fmt.Errorf("--output %q: allowed: text, json", *output)}
	}
}
