package main

import "fmt"

// Keys of the contestants that targets name.
const (
	kernelKey     = "kernel"
	conntrackdKey = "conntrackd"
)

// The connections and the memory that the targets are about.
const (
	targetConnections = 16
	targetIdle        = 10000
)

// target is something that ftpvip is meant to reach.
type target struct {
	Text    string  `json:"text"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
	Outcome outcome `json:"outcome"`
}

// outcome of a target.
type outcome string

// The outcomes.
const (
	met         outcome = "met"
	missed      outcome = "missed"
	notMeasured outcome = "not measured" // which -check counts as missed
)

// String is the target's line in the report.
func (t target) String() string {
	if t.Outcome == notMeasured {
		return fmt.Sprintf("%-12s  %s", t.Outcome, t.Text)
	}
	return fmt.Sprintf("%-12s  %s: %s", t.Outcome, t.Text, number(t.Value, 2))
}

// judge compares the board with the targets. Those against the kernel's helper are for a real machine, those against
// conntrackd for a kernel that has it, that of memory for any.
func judge(b *board, emulated bool) []target {
	atMost := func(text string, limit, value float64, ok bool) target {
		return decide(text, limit, value, ok, value <= limit)
	}
	atLeast := func(text string, limit, value float64, ok bool) target {
		return decide(text, limit, value, ok, value >= limit)
	}
	rate := pasvRate(targetConnections)
	var list []target
	if !emulated {
		r, ok := b.ratio(latency50, kernelKey)
		list = append(list, atMost("PASV p50, 1 connection, ftpvip / kernel's helper, at most 1.5", 1.5, r, ok))
		r, ok = b.ratio(rate, kernelKey)
		list = append(list, atLeast("PASV rate, 16 connections, ftpvip / kernel's helper, at least 0.7", 0.7, r, ok))
	}
	if r, ok := b.value(memoryAt(targetIdle), ftpvipKey); ok || !emulated { // emulated, so many take minutes to log in
		list = append(list, atMost("memory of the helper at 10,000 idle connections, MB, at most 40", 40, r, ok))
	}
	if emulated || b.ran(conntrackdKey) {
		r, ok := b.ratio(rate, conntrackdKey)
		list = append(list, atLeast("PASV rate, 16 connections, ftpvip / conntrackd, at least 1", 1, r, ok))
		r, ok = b.ratio(packets, conntrackdKey)
		list = append(list, decide("packets to userspace, 1 session, ftpvip / conntrackd, below 1", 1, r, ok, r < 1))
	}
	return list
}

// summary says plainly how many are missed.
func summary(list []target) string {
	missing, open := 0, 0
	for _, t := range list {
		switch t.Outcome {
		case missed:
			missing++
		case notMeasured:
			open++
		case met:
		}
	}
	switch {
	case missing > 0:
		return fmt.Sprintf("MISSED: %d of %d targets.", missing, len(list))
	case open > 0:
		return fmt.Sprintf("No target is missed, but %d of %d were not measured.", open, len(list))
	}
	return fmt.Sprintf("All %d targets are met.", len(list))
}

func decide(text string, limit, value float64, measured, reached bool) target {
	t := target{Text: text, Value: value, Limit: limit, Outcome: notMeasured}
	switch {
	case measured && reached:
		t.Outcome = met
	case measured:
		t.Outcome = missed
	}
	return t
}

// ran reports whether one took part.
func (b *board) ran(contestant string) bool {
	for _, c := range b.contestants {
		if c.Key == contestant {
			return c.Skipped == ""
		}
	}
	return false
}
