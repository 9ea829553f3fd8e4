// Package terminal makes text harmless that others wrote: names that FTP clients send, what servers answer, names in
// other programs' firewall tables, what another process says on a socket, content of files. A terminal must not take
// such text as commands, nor show it in another order than it has (bidirectional controls).
//
// Writer is the one place that all output passes. Line is for a value within a line: it escapes line breaks and tabs
// too, so that nobody adds lines or columns of their own.
package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Writer passes on what is written to it, with everything escaped but graphic characters, line breaks and tabs. The
// escapes (\u001b) are those of JSON, so that a JSON document stays what it is. What is written at a time has to end with
// a whole character. It has no state: it may be used by several goroutines where w may.
type Writer struct{ w io.Writer }

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) Writer { return Writer{w} }

// Write implements io.Writer.
func (t Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, escape(string(p), "\n\t")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Line returns s fit to be a part of a line.
func Line(s string) string { return escape(s, "") }

// escape escapes what is neither graphic nor one of keep.
func escape(s, keep string) string {
	harmless := func(r rune, size int) bool {
		return (r != utf8.RuneError || size > 1) && (unicode.IsGraphic(r) || strings.ContainsRune(keep, r))
	}
	var b strings.Builder
	done := 0 // how much of s is in b
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !harmless(r, size) {
			b.WriteString(s[done:i])
			done = i + size
			switch {
			case r == utf8.RuneError && size == 1: // no UTF-8: C1 controls of an 8-bit terminal, too
				fmt.Fprintf(&b, `\u%04x`, s[i])
			case r > 0xffff:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
			default:
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		}
		i += size
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}
