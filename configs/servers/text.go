package servers

import (
	"fmt"
	"strings"
)

// Text is the advice for a terminal: comments, and lines to be copied.
func (a Advice) Text() string {
	var b strings.Builder
	for i := range a.Servers {
		s := &a.Servers[i]
		fmt.Fprintf(&b, "# backend %s/%s: ports %d-%d of VIP %s, %d data connections at a time\n", s.Pool, s.Backend,
			s.First, s.Last, strings.Join(s.VIPs, ", "), int(s.Last)-int(s.First)+1)
		for _, f := range s.Files {
			fmt.Fprintf(&b, "\n# %s, in %s", f.Program, f.Name)
			if f.Family != 0 {
				fmt.Fprintf(&b, " (IPv%d)", f.Family)
			}
			for _, r := range f.Remarks {
				fmt.Fprintf(&b, "\n#   %s", r)
			}
			fmt.Fprintf(&b, "\n%s\n", strings.Join(f.Lines, "\n"))
		}
		b.WriteByte('\n')
	}
	if len(a.Firewall) > 0 {
		b.WriteString("# where this host's firewall drops what it does not know, in its forward chain:\n")
		b.WriteString("# FTPS data connections are new to it\n")
		for _, o := range a.Firewall {
			fmt.Fprintf(&b, "%s\n", o.Rule)
		}
	}
	return b.String()
}
