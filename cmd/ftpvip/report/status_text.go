package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ftpvip/configs/terminal"
	"ftpvip/helper/live"
	"ftpvip/rules"
)

// WriteText writes the status for a terminal; ages are relative to now.
func (s *Status) WriteText(w io.Writer, now time.Time) error {
	var b strings.Builder
	s.writeProblems(&b)
	for i := range s.VIPs {
		s.VIPs[i].write(&b, now)
	}
	fmt.Fprintf(&b, "table inet %s: %s\n", rules.TableName, s.tableText())
	fmt.Fprintf(&b, "helper: %s\n", s.Helper)
	if s.Helper.Live != nil {
		writeFigures(&b, s.Helper.Live, now)
	}
	if s.LastRound.IsZero() {
		b.WriteString("last health round: never")
	} else {
		fmt.Fprintf(&b, "last health round: %s ago", now.Sub(s.LastRound).Round(time.Second))
	}
	if s.RoundLate {
		b.WriteString(", LATE: is ftpvip-health.timer or ftpvip-health-watch.service active?")
	}
	b.WriteByte('\n')
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", terminal.Line(warning))
	}
	return Write(w, "%s", b.String())
}

func (s *Status) tableText() string {
	switch {
	case s.Table == tableUnknown:
		return "not shown to this user"
	case s.Table == tableMissing:
		return "MISSING: run `ftpvip apply`"
	case len(s.Changes) > 0:
		return fmt.Sprintf("DIFFERS from the configuration in %d places: see `ftpvip diff`, fix with `ftpvip apply`",
			len(s.Changes))
	}
	return s.Table + " with the configuration"
}

func (v *VIP) write(b *strings.Builder, now time.Time) {
	fmt.Fprintf(b, "VIP %s  %s  %s\n", v.Name, strings.Join(v.Addresses, "  "), v.Application)
	fmt.Fprintf(b, "pool %s  %s  %d slots  %d of %d backends are members\n",
		v.Pool, v.Scheduler, v.Slots, v.Members, v.Own)
	v.writeServing(b)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) { _, _ = fmt.Fprintf(tw, "  %v\t%v\t%v\t%v\t%v\t%v\t%v\n", cells...) }
	row("BACKEND", "STATE", "SLOTS v4", "SLOTS v6", "SHARE", "CONTROL", "ADDRESSES")
	for _, x := range v.Backends {
		row(x.Name, x.stateText(), x.Slots4, x.Slots6, fmt.Sprintf("%.1f%%", 100*x.Share), x.Connections,
			strings.Join(x.Addresses, " "))
	}
	_ = tw.Flush() // a strings.Builder never fails
	for _, x := range v.Backends {
		x.writeAdmin(b, now)
		x.writeSlowStart(b)
		if x.Reason != "" {
			fmt.Fprintf(b, "  %s: %s\n", x.Name, terminal.Line(x.Reason))
		}
	}
	v.writeRefused(b)
	b.WriteByte('\n')
}

// writeFigures writes the most important figures of the helper.
func writeFigures(b *strings.Builder, f *live.Figures, now time.Time) {
	fmt.Fprintf(b, "  version %s, process %d, up %s", terminal.Line(f.Version), f.PID, age(now.Sub(f.Started)))
	if f.Config != "" {
		fmt.Fprintf(b, ", configuration %s", terminal.Line(f.Config))
	}
	b.WriteByte('\n')
	fmt.Fprintf(b, "  sessions: %d now, %d so far\n", f.SessionsCurrent, f.SessionsTotal)
	fmt.Fprintf(b, "  data connections: %d awaited now, %d opened", f.Awaited, f.Data["opened"])
	for _, name := range slices.Sorted(maps.Keys(f.Data)) {
		if n := f.Data[name]; n > 0 && name != "opened" {
			fmt.Fprintf(b, ", %d %s", n, words(name))
		}
	}
	b.WriteByte('\n')
	for _, t := range f.Transfers {
		fmt.Fprintf(b, "  %s %s: %d, %s", terminal.Line(t.Mode), terminal.Line(t.Direction), t.Count, size(t.Bytes))
		if t.Uncounted > 0 {
			fmt.Fprintf(b, " (%d more without byte counts)", t.Uncounted)
		}
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(f.Refusals)) {
		if n := f.Refusals[name]; n > 0 {
			fmt.Fprintf(b, "  refused, %s: %d\n", words(name), n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Unread)) {
		if n := f.Unread[name]; n > 0 {
			fmt.Fprintf(b, "  packets unread, %s: %d\n", words(name), n)
		}
	}
	if f.Throttled > 0 {
		fmt.Fprintf(b, "  packets dropped of clients that used more than their share: %d\n", f.Throttled)
	}
	if n := f.Latency.Count(); n > 0 {
		mean := time.Duration(f.Latency.Sum / float64(n) * float64(time.Second))
		fmt.Fprintf(b, "  verdicts: %d, after %s on average\n", n, mean.Round(time.Microsecond))
	}
}

// words turns the name of a counter, as a helper sends it, into words.
func words(name string) string { return terminal.Line(strings.ReplaceAll(name, "_", " ")) }
