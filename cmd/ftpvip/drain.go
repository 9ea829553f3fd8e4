package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/running"
	"ftpvip/rules"
)

func (a *app) drainCommand() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := a.backendVerb("drain POOL/BACKEND", "No new sessions for a backend; running ones go on", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			switch {
			case cmd.Flags().Changed("timeout") && !wait:
				return &exitError{exitUsage, errors.New("--timeout says how long --wait waits: give both")}
			case timeout < 0:
				return &exitError{exitUsage, fmt.Errorf("--timeout %s: allowed: 0 (no end) or more", timeout)}
			}
			d, err := a.setMode(cmd.Context(), ref, rules.Drained)
			if err != nil {
				return err
			}
			if !wait {
				return a.printDecision(d, asJSON)
			}
			return a.drained(cmd.Context(), ref, d, timeout, asJSON)
		})
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the last session has ended")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait, such as 90s or 2h; 0: as long as it takes")
	return cmd
}

// drainedReport is the document of `drain --wait -o json`.
type drainedReport struct {
	*decision
	Sessions int     `json:"sessions"` // still running
	Seconds  float64 `json:"waited_seconds"`
}

// drained waits for the end of a backend's sessions.
func (a *app) drained(ctx context.Context, ref configs.Ref, d *decision, timeout time.Duration, asJSON bool) error {
	cfg, err := a.serving()
	if err != nil {
		return err
	}
	show := progress(a.stdout, ref, asJSON)
	if !asJSON {
		if err := a.printDecision(d, false); err != nil {
			return err
		}
	}
	begun := time.Now()
	sessions, err := waitIdle(ctx, timeout, func() (int, error) { return running.Count(cfg, ref) }, show)
	if asJSON && (err == nil || errors.Is(err, errStillRunning)) {
		report := drainedReport{d, sessions, time.Since(begun).Seconds()}
		if err := writeJSON(a.stdout, report); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, errStillRunning):
		return fmt.Errorf("%s: %w: %d after %s; it stays drained: wait again with the same command, or end them with "+
			"`ftpvip disable %s`", ref, err, sessions, timeout, ref)
	case ctx.Err() != nil:
		return fmt.Errorf("no longer waiting, %d sessions of %s still run; it stays drained: `ftpvip enable %s` takes that back",
			sessions, ref, ref)
	case err != nil:
		return err
	case asJSON:
		return nil
	}
	return write(a.stdout, "%s: the last session has ended, after %s\n", ref, time.Since(begun).Round(time.Second))
}

// errStillRunning says that the time to wait was over first.
var errStillRunning = errors.New("sessions still run")

// pollSessions is how often sessions are counted; counting looks at all of conntrack, and where that takes long it
// takes no more than a tenth of the time.
const pollSessions = 500 * time.Millisecond

// waitIdle waits until count has been 0 twice in a row: a connection that was being opened when the slots moved is
// not counted at first. It tells show of every change.
func waitIdle(ctx context.Context, timeout time.Duration, count func() (int, error), show func(int) error) (int, error) {
	var deadline <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		deadline = timer.C
	}
	for before := -1; ; {
		begun := time.Now()
		n, err := count()
		if err != nil {
			return n, err
		}
		if n != before {
			if err := show(n); err != nil {
				return n, err
			}
		} else if n == 0 {
			return 0, nil
		}
		before = n
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-deadline:
			return n, errStillRunning
		case <-time.After(max(pollSessions, 10*time.Since(begun))):
		}
	}
}

// progress shows how many sessions are left: on a terminal in place, elsewhere a line for each change.
func progress(w io.Writer, ref configs.Ref, silent bool) func(int) error {
	if silent {
		return func(int) error { return nil }
	}
	format := "%s: %d sessions left\n"
	if isTerminal(w) {
		const eraseLine = "\r\x1b[K" // ECMA-48, 8.3.41
		return func(n int) error {
			end := ""
			if n == 0 {
				end = "\n"
			}
			return write(w, eraseLine+"%s: %d sessions left%s", ref, n, end)
		}
	}
	return func(n int) error { return write(w, format, ref, n) }
}

// isTerminal tells whether somebody watches.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
