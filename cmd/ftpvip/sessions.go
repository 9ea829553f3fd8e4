package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs/terminal"
	"ftpvip/helper/live"
)

func (a *app) sessionsCommand() *cobra.Command {
	cmd := verb("sessions", "List the current control connections", nil)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		list, err := a.sessions(cmd.Context())
		if err != nil {
			return fail(err, exitFailure)
		}
		if json {
			return fail(writeJSON(a.stdout, list), exitFailure)
		}
		return fail(writeSessions(a.stdout, list, time.Now()), exitFailure)
	}
	return cmd
}

// sessions asks the running helper.
func (a *app) sessions(ctx context.Context) ([]live.Session, error) {
	list, err := live.AskSessions(ctx, a.socket())
	if errors.Is(err, live.ErrNotRunning) {
		return nil, fmt.Errorf("%w: start it with `systemctl start ftpvip-helper` or `ftpvip helper`, "+
			"or name its --state-dir", err)
	}
	return list, err
}

// socket is where a running helper answers.
func (a *app) socket() string { return filepath.Join(a.v.GetString("state-dir"), live.SocketName) }

func writeSessions(w io.Writer, list []live.Session, now time.Time) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) { _, _ = fmt.Fprintf(tw, "%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\n", cells...) }
	row("VIP", "BACKEND", "CLIENT", "USER", "TLS", "AGE", "TRANSFERS", "BYTES")
	for i := range list {
		s := &list[i]
		user, tls := "-", "no"
		if s.User != "" {
			user = terminal.Line(s.User)
		}
		if s.TLS {
			tls = "yes"
		}
		count, bytes, known := s.Total()
		carried := sizeText(bytes)
		switch {
		case !known && bytes == 0:
			carried = "unknown"
		case !known:
			carried = "at least " + carried
		}
		row(terminal.Line(s.VIP), terminal.Line(s.Backend), terminal.Line(s.Client.String()), user, tls, ageText(now.Sub(s.Since)), count, carried)
	}
	_ = tw.Flush() // a strings.Builder never fails
	return write(w, "%s", b.String())
}

// ageText drops what nobody wants to know.
func ageText(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// sizeText writes bytes with a unit (IEC 80000-13).
func sizeText(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	const units = "KMGTPE"
	for v >= 1024 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, units[unit])
}
