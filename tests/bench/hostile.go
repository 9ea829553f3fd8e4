package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ftpvip/tests/lab"
)

// hostileLimit is how much longer the others may wait for what takes the longest, in 99 of 100 cases.
const hostileLimit = 3.0

// quiet is how long after a hostile client has come or gone nothing is measured: connections are reset, and the others'
// retransmissions end.
const quiet = 300 * time.Millisecond

// hostileCase is one line of the table.
type hostileCase struct {
	front  *front
	manner string
	alone  [numAsks][]float64 // p99 of each round in microseconds: without a hostile client,
	plain  [numAsks][]float64 // with one at a VIP that no helper reads,
	with   [numAsks][]float64 // with one at a VIP of the helper
	err    error
}

// ratio is what the hostile client costs the others at most.
func (c *hostileCase) ratio(a ask) float64 { return median(c.with[a]) / median(c.alone[a]) }

// floor is the same where no helper reads what it says.
func (c *hostileCase) floor(a ask) float64 { return median(c.plain[a]) / median(c.alone[a]) }

// hostile measures what well-behaved clients notice of a hostile one.
func hostile(o options, w io.Writer, say func(string, ...any)) (code int, err error) {
	path, err := lab.FindProgram()
	if err != nil {
		return exitTrouble, err
	}
	programs := [][2]string{{"", path}}
	if o.before != "" {
		programs = [][2]string{{"before", o.before}, {"", path}}
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.limit, fmt.Errorf("not done after %v (-limit)", o.limit))
	defer cancel()
	start := time.Now()
	var cases []*hostileCase
	for _, arm := range []lab.Arm{lab.TwoArm, lab.OneArm} {
		if o.short && arm == lab.OneArm {
			continue
		}
		list, err := o.hostileArm(ctx, arm, programs, say)
		cases = append(cases, list...)
		if err != nil {
			return exitTrouble, err
		}
	}
	return o.hostileReport(w, cases, time.Since(start))
}

// hostileArm measures in one arm, with all programs in turn.
func (o *options) hostileArm(ctx context.Context, arm lab.Arm, programs [][2]string, say func(string, ...any)) (cases []*hostileCase, err error) {
	var fronts []*front
	defer func() {
		for _, f := range fronts {
			err = errors.Join(err, f.close())
		}
	}()
	for _, p := range programs {
		f, err := newFront(ctx, arm, p[1], p[0])
		if err != nil {
			return nil, err
		}
		fronts = append(fronts, f)
		say("%s: %d idle sessions log in", arm, o.idle)
		if err := f.fill(o.idle, min(room(crowdPending), o.idle)); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", arm, err, f.helper.Stderr())
		}
	}
	for _, m := range manners {
		if o.only != nil && !o.only.MatchString(m.name) || o.short && !m.short {
			continue
		}
		for _, f := range fronts {
			c := &hostileCase{front: f, manner: m.name}
			cases = append(cases, c)
			for range o.rounds {
				say("%s %s: %s", arm, f.title, m.name)
				c.round(o.span)
				if ctx.Err() != nil {
					return cases, context.Cause(ctx)
				}
			}
		}
	}
	return cases, nil
}

// round measures one round of a case.
func (c *hostileCase) round(span time.Duration) {
	for _, x := range []struct {
		name   string
		manner string
		vip    int
		to     *[numAsks][]float64
	}{
		{"nobody is hostile", "", goodVIP, &c.alone},
		{"at the VIP without a helper", c.manner, plainVIP, &c.plain},
		{"at the helper's VIP", c.manner, badVIP, &c.with},
	} {
		took, err := c.front.under(x.manner, x.vip, quiet, span)
		if err != nil {
			c.err = fmt.Errorf("%s, %s, %s: %w", c.front.arm, c.manner, x.name, err)
			return
		}
		for a := range numAsks {
			x.to[a] = append(x.to[a], float64(percentile(took[a], 99))/float64(time.Microsecond))
		}
	}
}

// hostileReport writes the table, and says what is missed.
func (o *options) hostileReport(w io.Writer, cases []*hostileCase, took time.Duration) (code int, err error) {
	fmt.Fprintf(w, "Linux %s, %s, load %s. Medians of %d rounds of %v each; %v in all.\n\n", release(), processors(), load(),
		o.rounds, o.span, took.Round(time.Second))
	head := []string{"one address does, with 250 sessions"}
	if o.before != "" {
		head = append(head, "ftpvip")
	}
	head = append(head, "arm")
	for _, name := range askNames {
		head = append(head, name+" alone", "plain DNAT", "ftpvip", "ratio")
	}
	rows := [][]string{head}
	missed, floor, worst := 0, 0, 0.0
	for _, c := range cases {
		row := []string{c.manner}
		if o.before != "" {
			row = append(row, map[bool]string{true: "before", false: "now"}[c.front.title != ""])
		}
		row = append(row, string(c.front.arm))
		now := c.front.title == ""
		for a := range numAsks {
			if len(c.with[a]) == 0 {
				row = append(row, "-", "-", "-", "failed")
				continue
			}
			row = append(row, number(median(c.alone[a]), 0), number(median(c.plain[a]), 0), number(median(c.with[a]), 0), number(c.ratio(a), 1))
			if !now {
				continue
			}
			worst = max(worst, c.ratio(a))
			switch {
			case c.ratio(a) <= hostileLimit:
			case c.floor(a) > hostileLimit:
				floor++
			default:
				missed++
			}
		}
		if c.err != nil && now {
			missed++
		}
		rows = append(rows, row)
	}
	if err := writeTable(w, rows); err != nil {
		return exitTrouble, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `
p99 in microseconds of %d well-behaved clients from %d other addresses, each with a NOOP or a PASV every 10 ms, and of one that
logs in over and over (connect to 230), beside %d idle sessions of which %d wait for a data connection. "Plain DNAT" is the
floor: the hostile client does the same at a VIP that no helper reads. Hostile client and its server have the lowest priority,
so that they do not take the processors from the others; what the kernel does with their packets they do not yield.
`, probes, probeAddrs, o.idle, min(room(crowdPending), o.idle))
	for _, c := range cases {
		if c.err != nil {
			fmt.Fprintf(&b, "%v\n", c.err)
		}
	}
	switch {
	case missed > 0:
		fmt.Fprintf(&b, "MISSED: %d ratios are above %.1f (the highest is %.1f), where plain DNAT's are not.\n", missed, hostileLimit, worst)
	case floor > 0:
		fmt.Fprintf(&b, "%d ratios are above %.1f, as those of plain DNAT are.\n", floor, hostileLimit)
	default:
		fmt.Fprintf(&b, "All ratios are at most %.1f; the highest is %.1f.\n", hostileLimit, worst)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return exitTrouble, err
	}
	if missed > 0 && o.check {
		return exitMissed, nil
	}
	return 0, nil
}
