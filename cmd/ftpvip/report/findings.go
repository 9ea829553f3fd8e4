package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ftpvip/configs/terminal"
	"ftpvip/rules/doctor"
)

// Findings is the document of `ftpvip doctor -o json`.
type Findings struct {
	Findings []doctor.Finding `json:"findings"`
	Healthy  bool             `json:"healthy"` // none but notes
	Walked   bool             `json:"walked"`  // FTP was followed through all rules of this host, and passes
}

// NewFindings is that of a list, which may be nil.
func NewFindings(list []doctor.Finding) *Findings {
	return &Findings{append([]doctor.Finding{}, list...), !slices.ContainsFunc(list, doctor.Finding.Counts), !slices.ContainsFunc(list, doctor.Finding.Doubts)}
}

// WriteText writes it for a terminal.
func (d *Findings) WriteText(w io.Writer) error {
	count := map[doctor.Severity]int{}
	for _, f := range d.Findings {
		count[f.Severity]++
	}
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s: %s [%s]\n  why:  %s\n", f.Severity, terminal.Line(f.What), f.ID, terminal.Line(f.Why))
		label := "fix: "
		if f.On != "" {
			label = "fix, on " + terminal.Line(f.On) + ":"
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
	switch {
	case d.Healthy && !d.Walked:
		fmt.Fprintf(&b, "nothing was found, but doctor could not follow FTP through all rules of this host: see the notes (%d)\n", count[doctor.Note])
	case d.Healthy:
		fmt.Fprintf(&b, "nothing stands in the way of FTP (notes %d)\n", count[doctor.Note])
	default:
		fmt.Fprintf(&b, "errors %d, warnings %d, notes %d\n", count[doctor.Error], count[doctor.Warning], count[doctor.Note])
	}
	return Write(w, "%s", b.String())
}
