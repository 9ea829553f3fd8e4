package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ftpvip/configs/terminal"
	"ftpvip/helper/live"
)

// WriteSessions writes a table of control connections.
func WriteSessions(w io.Writer, list []live.Session, now time.Time) error {
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
		carried := size(bytes)
		switch {
		case !known && bytes == 0:
			carried = "unknown"
		case !known:
			carried = "at least " + carried
		}
		row(terminal.Line(s.VIP), terminal.Line(s.Backend), terminal.Line(s.Client.String()), user, tls, age(now.Sub(s.Since)), count, carried)
	}
	_ = tw.Flush() // a strings.Builder never fails
	return Write(w, "%s", b.String())
}
