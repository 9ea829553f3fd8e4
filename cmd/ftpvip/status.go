package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/cmd/ftpvip/report"
)

// look reads what only root may read, for the commands that show it.
func (a *app) look(*cobra.Command, []string) error {
	a.op.Seen = operate.Look()
	return nil
}

func (a *app) statusCommand() *cobra.Command {
	cmd := verb("status", "Show VIPs, pools, backends and the helper (exit code 1: something is wrong)", nil)
	cmd.PreRunE = a.look
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		s, err := a.op.Status(cmd.Context())
		if err != nil {
			return fail(err, exitFailure)
		}
		if err := a.show(json, s, func(w io.Writer) error { return s.WriteText(w, time.Now()) }); err != nil {
			return fail(err, exitFailure)
		}
		if len(s.Problems) > 0 {
			return errTold
		}
		return nil
	}
	return cmd
}

func (a *app) sessionsCommand() *cobra.Command {
	cmd := verb("sessions", "List the current control connections", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		list, err := a.op.CurrentSessions(cmd.Context())
		if err != nil {
			return fail(err, exitFailure)
		}
		return fail(a.show(json, list, func(w io.Writer) error { return report.WriteSessions(w, list, time.Now()) }), exitFailure)
	}
	return cmd
}
