package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ftpvip/rules"
)

// write prints the status for a terminal.
func (s *status) write(w io.Writer, now time.Time) error {
	var b strings.Builder
	for i := range s.VIPs {
		s.VIPs[i].write(&b)
	}
	fmt.Fprintf(&b, "table inet %s: %s\n", rules.TableName, s.tableText())
	fmt.Fprintf(&b, "helper: %s\n", s.Helper)
	if s.LastRound.IsZero() {
		b.WriteString("last health round: never\n")
	} else {
		fmt.Fprintf(&b, "last health round: %s ago\n", now.Sub(s.LastRound).Round(time.Second))
	}
	return write(w, "%s", b.String())
}

func (s *status) tableText() string {
	switch {
	case s.Table == "missing":
		return "MISSING: run `ftpvip apply`"
	case len(s.Changes) > 0:
		return fmt.Sprintf("DIFFERS from the configuration in %d places: see `ftpvip diff`, mend with `ftpvip apply`",
			len(s.Changes))
	}
	return s.Table + " with the configuration"
}

func (v *vipStatus) write(b *strings.Builder) {
	fmt.Fprintf(b, "VIP %s  %s  %s\n", v.Name, strings.Join(v.Addresses, "  "), v.Application)
	fmt.Fprintf(b, "pool %s  %s  %d slots  %d of %d backends are members\n",
		v.Pool, v.Scheduler, v.Slots, v.Members, len(v.Backends))
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) { _, _ = fmt.Fprintf(tw, "  %v\t%v\t%v\t%v\t%v\t%v\t%v\n", cells...) }
	row("BACKEND", "STATE", "SLOTS v4", "SLOTS v6", "SHARE", "CONTROL", "ADDRESSES")
	for _, x := range v.Backends {
		row(x.Name, x.State, x.Slots4, x.Slots6, fmt.Sprintf("%.1f%%", 100*x.Share), x.Connections,
			strings.Join(x.Addresses, " "))
	}
	_ = tw.Flush() // a strings.Builder never fails
	for _, x := range v.Backends {
		if x.Reason != "" {
			fmt.Fprintf(b, "  %s: %s\n", x.Name, x.Reason)
		}
	}
	b.WriteByte('\n')
}
