package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
)

// progress shows how many sessions of a backend are left: in place on a terminal, otherwise a line for each change.
func progress(w io.Writer, ref configs.Ref, silent bool) func(left int) error {
	if silent {
		return func(int) error { return nil }
	}
	if isTerminal(w) {
		const eraseLine = "\r\x1b[K" // ECMA-48, 8.3.41
		return func(n int) error {
			end := ""
			if n == 0 {
				end = "\n"
			}
			return report.Write(w, eraseLine+"%s: %d sessions left%s", ref, n, end)
		}
	}
	return func(n int) error { return report.Write(w, "%s: %d sessions left\n", ref, n) }
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
