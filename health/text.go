package health

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"ftpvip/configs/terminal"
	"ftpvip/health/judge"
)

// WriteText writes the report as a table for a terminal, without colours. Warnings are not part of it: they are for
// the log.
func WriteText(w io.Writer, r Report) error {
	var out bytes.Buffer
	tw := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) { _, _ = fmt.Fprintf(tw, "%v\t%v\t%v\t%v\t%v\t%v\t%v\n", cells...) }
	row("POOL", "BACKEND", "STATE", "FOR", "COUNT", "LATENCY", "REASON")
	for _, p := range r.Pools {
		for _, b := range p.Backends {
			row(p.Name, b.Name, b.stateCell(), age(b.Since, r.Time), b.countCell(p), b.latencyCell(), b.reasonCell())
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	out.WriteByte('\n')
	for _, p := range r.Pools {
		fmt.Fprintf(&out, "pool %s: %d of %d backends are members", p.Name, p.Members, len(p.Backends))
		for _, f := range p.Memberless {
			fmt.Fprintf(&out, "; NO MEMBER for IPv%d", f)
		}
		if p.MinMembers > 1 && p.Members < p.MinMembers {
			fmt.Fprintf(&out, "; FEWER than min_members %d", p.MinMembers)
		}
		fmt.Fprintf(&out, " (check %s)\n", p.Check)
	}
	for _, t := range r.Troubles {
		fmt.Fprintf(&out, "this host: %s (ftpvip doctor: %s)\n", terminal.Line(t.What), t.ID)
	}
	if t := r.Table; t != nil && t.State != TableWhole {
		fmt.Fprintf(&out, "%s\n", t)
	}
	_, err := w.Write(trimLines(out.Bytes()))
	return err
}

// String says what a round found and did.
func (t *TableReport) String() string {
	switch {
	case t.State == TableNone:
		return "table inet ftpvip: nothing is applied; run `ftpvip apply`"
	case t.Restored:
		return fmt.Sprintf("table inet ftpvip: somebody had %s it, and it was RESTORED", t.State.deed())
	case t.State != TableWhole:
		return fmt.Sprintf("table inet ftpvip: somebody has %s it, and clients may reach no server: run `ftpvip apply`", t.State.deed())
	}
	return "table inet ftpvip: as it was applied"
}

// deed is what somebody did to the table.
func (s TableState) deed() string {
	if s == TableMissing {
		return "removed"
	}
	return "changed"
}

func (b BackendReport) stateCell() string {
	s := b.Status.String()
	if b.Transition.Changed() {
		s = b.Transition.String()
	}
	switch {
	case b.Admin != "":
		s += ", " + b.Admin
	case b.Kept:
		s += ", kept"
	case !b.Held.IsZero():
		s += ", held"
	}
	return s
}

// countCell says how far a backend is on its way to another state.
func (b BackendReport) countCell(p PoolReport) string {
	switch {
	case b.Fall > 0:
		return fmt.Sprintf("fall %d/%d", b.Fall, p.Fall)
	case b.Rise > 0:
		return fmt.Sprintf("rise %d/%d", b.Rise, p.Rise)
	default:
		return "-"
	}
}

func (b BackendReport) latencyCell() string {
	if !b.OK || len(b.Addresses) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fms", b.LatencyMS)
}

func (b BackendReport) reasonCell() string {
	s := ""
	if !b.Held.IsZero() {
		s = "it flaps, and is held down until " + b.Held.Format(time.RFC3339)
	}
	if b.Step == judge.StepNone {
		return s
	}
	if s != "" {
		s += "; "
	}
	return s + terminal.Line(string(b.Step)+": "+b.Reason)
}

// age returns how long ago since was, in two units at most.
func age(since, now time.Time) string {
	d := max(now.Sub(since), 0)
	switch {
	case since.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// trimLines removes the blanks that the table leaves at the ends of lines.
func trimLines(b []byte) []byte {
	lines := bytes.Split(b, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " ")
	}
	return bytes.Join(lines, []byte("\n"))
}
