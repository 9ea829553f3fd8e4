package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// story prints what happens, step by step.
type story struct {
	out     io.Writer
	verbose bool
	step    int
}

// heading begins a step.
func (s *story) heading(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.step, fmt.Sprintf(format, args...))
}

// say prints a paragraph.
func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// detail prints a line that only the curious want.
func (s *story) detail(line string) {
	if s.verbose {
		fmt.Fprintf(s.out, "   + %s\n", line)
	}
}

// quote prints text that is not ours, indented.
func (s *story) quote(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(s.out, strings.TrimRight("   "+line, " \n"))
	}
}

// table prints rows of cells under a head, aligned.
func (s *story) table(head []string, rows [][]string) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintf(w, "   %s\n", strings.Join(row, "\t"))
	}
	_ = w.Flush()
}
