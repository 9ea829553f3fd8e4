package main

import (
	"fmt"
	"strings"

	"ftpvip/configs/terminal"
	"ftpvip/rules/doctor"
)

// printFindings writes what doctor found.
func (a *app) printFindings(findings []doctor.Finding, asJSON bool) error {
	count := map[doctor.Severity]int{}
	faults := 0
	for _, f := range findings {
		count[f.Severity]++
		if f.Counts() {
			faults++
		}
	}
	if asJSON {
		if findings == nil {
			findings = []doctor.Finding{}
		}
		return writeJSON(a.stdout, map[string]any{"healthy": faults == 0, "findings": findings})
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s: %s [%s]\n  why:  %s\n", f.Severity, terminal.Line(f.What), f.ID, terminal.Line(f.Why))
		label := "mend:"
		if f.On != "" {
			label = "mend, on " + terminal.Line(f.On) + ":"
		}
		for i, line := range f.Remedy {
			if i > 0 {
				label = strings.Repeat(" ", len(label))
			}
			fmt.Fprintf(&b, "  %s %s\n", label, terminal.Line(line))
		}
		if f.Keep != "" {
			fmt.Fprintf(&b, "  keep: %s\n", terminal.Line(f.Keep))
		}
		b.WriteString("\n")
	}
	if faults == 0 {
		fmt.Fprintf(&b, "nothing stands in the way of FTP (notes %d)\n", count[doctor.Note])
	} else {
		fmt.Fprintf(&b, "errors %d, warnings %d, notes %d\n", count[doctor.Error], count[doctor.Warning], count[doctor.Note])
	}
	return write(a.stdout, "%s", b.String())
}
