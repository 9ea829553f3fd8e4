package main

import (
	"fmt"
	"slices"
	"strings"
)

// figure is one line of the report.
type figure struct {
	key, title, unit string
	digits           int // after the point
}

// Keys of the figures that targets are about; the others are made by the same functions.
var (
	latency50 = figure{"pasv_1_p50", "PASV, 1 connection, p50", "us", 1}
	latency99 = figure{"pasv_1_p99", "PASV, 1 connection, p99", "us", 1}
	packets   = figure{"session_packets", "packets to userspace, 1 session", "", 1}
	memory0   = figure{"memory_0", "memory of the helper, no connection", "MB", 1}
)

func pasvRate(n int) figure {
	return figure{fmt.Sprintf("pasv_%d_rate", n), fmt.Sprintf("PASV, %d %s", n, plural(n, "connection")), "1/s", 0}
}

func sessionRate(n int) figure {
	return figure{fmt.Sprintf("session_%d_rate", n), fmt.Sprintf("whole sessions, %d at a time", n), "1/s", 0}
}

func memoryAt(n int) figure {
	return figure{fmt.Sprintf("memory_%d", n), fmt.Sprintf("memory of the helper, %d idle", n), "MB", 1}
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// contestant is a kind as the board knows it.
type contestant struct {
	Key     string `json:"key"`
	Title   string `json:"title"`
	Skipped string `json:"skipped,omitempty"` // why it was not measured
}

// board collects what was measured.
type board struct {
	contestants []*contestant
	figures     []figure
	rounds      map[cell][]float64
	failed      map[cell][]error // by round that went wrong
	remarks     []string         // what else there is to know
}

type cell struct{ figure, contestant string }

func newBoard() *board { return &board{rounds: map[cell][]float64{}, failed: map[cell][]error{}} }

// skip notes why one cannot take part.
func (b *board) skip(contestant string, why error) {
	for _, c := range b.contestants {
		if c.Key == contestant {
			c.Skipped = strings.ReplaceAll(strings.TrimSpace(why.Error()), "\n", "; ")
		}
	}
}

// know gives a figure its line.
func (b *board) know(f figure) {
	if !slices.Contains(b.figures, f) {
		b.figures = append(b.figures, f)
	}
}

// add notes one round's value.
func (b *board) add(f figure, contestant string, value float64) {
	b.know(f)
	c := cell{f.key, contestant}
	b.rounds[c] = append(b.rounds[c], value)
}

// fail notes a round that went wrong.
func (b *board) fail(f figure, contestant string, err error) {
	b.know(f)
	c := cell{f.key, contestant}
	b.failed[c] = append(b.failed[c], err)
}

// value returns the median of the rounds. It is not ok if there is none, and for ftpvip where any round went wrong:
// the others have the benefit of the doubt.
func (b *board) value(f figure, contestant string) (v float64, ok bool) {
	c := cell{f.key, contestant}
	if len(b.rounds[c]) == 0 || contestant == ftpvipKey && b.failed[c] != nil {
		return 0, false
	}
	return median(b.rounds[c]), true
}

// ratio returns ftpvip's value over the other's.
func (b *board) ratio(f figure, other string) (r float64, ok bool) {
	x, okX := b.value(f, ftpvipKey)
	y, okY := b.value(f, other)
	if !okX || !okY || y == 0 {
		return 0, false
	}
	return x / y, true
}

// failures lists what went wrong.
func (b *board) failures() []string {
	var list []string
	for _, f := range b.figures {
		for _, c := range b.contestants {
			at := cell{f.key, c.Key}
			if n := len(b.failed[at]); n > 0 {
				list = append(list, fmt.Sprintf("%s: %s: %d of %d rounds failed: %s", c.Title, f.title, n, n+len(b.rounds[at]),
					firstLine(b.failed[at][0])))
			}
		}
	}
	return list
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// sound reports whether nothing went wrong with ftpvip.
func (b *board) sound() bool {
	for at := range b.failed {
		if at.contestant == ftpvipKey {
			return false
		}
	}
	return true
}
