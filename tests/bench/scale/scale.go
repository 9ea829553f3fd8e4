package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"ftpvip/tests/lab"
)

// what is one thing that is measured at every size.
type what string

// What is measured.
const (
	applyNew   what = "apply from nothing"
	applyAgain what = "apply, no change"
	oneDown    what = "drain of one backend"
	statusVerb what = "status"
	rawBatch   what = "bare netlink batch of the slots"
	slotMove   what = "one backend's slots, the kernel's share"
	nftlbNew   what = "nftlb, from nothing"
)

var whats = []what{applyNew, rawBatch, nftlbNew, applyAgain, oneDown, slotMove, statusVerb}

// sample is what one run took; a bare time has nothing else.
type sample struct {
	seconds float64
	peakMB  float64
}

// scale holds the samples by what and size, and why something has none.
type scale struct {
	samples map[what]map[int][]sample
	missing map[what]map[int]string
	written map[what]map[int]int // bytes to netlink
}

func newScale() *scale {
	s := &scale{samples: map[what]map[int][]sample{}, missing: map[what]map[int]string{}, written: map[what]map[int]int{}}
	for _, x := range whats {
		s.samples[x], s.missing[x], s.written[x] = map[int][]sample{}, map[int]string{}, map[int]int{}
	}
	return s
}

func (s *scale) add(x what, size int, one sample) {
	s.samples[x][size] = append(s.samples[x][size], one)
}

// measureScale measures the commands at every size.
func measureScale(ctx context.Context, o options, path string) (*scale, error) {
	s := newScale()
	for _, size := range o.sizes {
		for range o.rounds {
			if err := s.round(ctx, o, path, size); err != nil {
				return nil, fmt.Errorf("%d VIPs: %w", size, err)
			}
		}
	}
	return s, nil
}

// round measures everything once at one size, in a lab of its own.
func (s *scale) round(ctx context.Context, o options, path string, size int) (err error) {
	l, err := lab.New(ctx, lab.Options{Backends: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	program, err := l.Program(path, config(size, nil, ""))
	if err != nil {
		return err
	}
	ftpvip := func(words ...string) []string {
		return append([]string{path, "--config", program.Config, "--state-dir", program.State}, words...)
	}
	steps := []struct {
		what    what
		args    []string
		bare    bool // prints the seconds that count
		written bool // run for the bytes alone: a list of all changes takes its time
	}{
		{what: rawBatch, args: []string{"/proc/self/exe", childRaw, program.Config}, bare: true},
		{args: []string{"nft", "delete", "table", "inet", "raw"}},
		{what: applyNew, args: ftpvip("apply", "-o", "json"), written: true},
		{what: applyAgain, args: ftpvip("apply", "-o", "json"), written: true},
		{args: ftpvip("flush")},
		{what: applyNew, args: ftpvip("apply")},
		{what: applyAgain, args: ftpvip("apply")},
		{what: slotMove, args: []string{"/proc/self/exe", childMove, program.Config}, bare: true},
		{what: oneDown, args: ftpvip("drain", "p0/b0")},
		{what: statusVerb, args: ftpvip("status")},
	}
	for _, step := range steps {
		u, err := take(ctx, l, step.args)
		if err != nil {
			return err
		}
		if step.written {
			if s.written[step.what][size], err = writtenBytes(u.Stdout); err != nil {
				return err
			}
			continue
		}
		one := sample{seconds: u.Seconds, peakMB: float64(u.PeakKB) / 1000}
		if step.bare {
			if one.seconds, err = strconv.ParseFloat(strings.TrimSpace(u.Stdout), 64); err != nil {
				return err
			}
		}
		if step.what != "" {
			s.add(step.what, size, one)
		}
	}
	return s.nftlb(ctx, o, l, size)
}

// writtenBytes reads how much an apply wrote to netlink. The list of changes before it may be cut off: the figure stands
// behind it, at the end.
func writtenBytes(document string) (int, error) {
	_, rest, found := strings.Cut(document, `"netlink_bytes": `)
	digits, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimRight(digits, ", "))
	if !found || err != nil {
		return 0, fmt.Errorf("apply does not say how much it wrote: %q", document[max(0, len(document)-200):])
	}
	return n, nil
}

// take runs a command on the balancer, measured.
func take(ctx context.Context, l *lab.Lab, args []string) (usage, error) {
	r, err := l.Balancer.Run(ctx, lab.Command{Args: append([]string{"/proc/self/exe", childUsage}, args...)})
	if err != nil {
		return usage{}, err
	}
	var u usage
	if err := json.Unmarshal([]byte(r.Stdout), &u); err != nil {
		return usage{}, fmt.Errorf("%w: %s", err, r)
	}
	if u.ExitCode != 0 {
		return usage{}, fmt.Errorf("%s: exit %d: %s%s", strings.Join(args, " "), u.ExitCode, u.Stdout, u.Stderr)
	}
	return u, nil
}

// nftlb measures the same VIPs with nftlb, in the same lab after our table is gone. What does not end in time at one
// size is not tried at a larger one.
func (s *scale) nftlb(ctx context.Context, o options, l *lab.Lab, size int) error {
	if r, err := l.Balancer.Run(ctx, lab.Command{Args: []string{"nft", "delete", "table", "inet", "ftpvip"}}); err != nil || r.Code != 0 {
		return errors.Join(err, errors.New(r.String()))
	}
	for smaller, why := range s.missing[nftlbNew] {
		if smaller <= size {
			s.missing[nftlbNew][size] = why
			return nil
		}
	}
	data, err := nftlbConfig(size)
	if err != nil {
		return err
	}
	path := filepath.Join(l.Dir, "nftlb.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, o.patience, fmt.Errorf("not done after %v", o.patience))
	defer cancel()
	u, err := take(limited, l, []string{"nftlb", "-e", "-l", "3", "-c", path})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		s.missing[nftlbNew][size] = context.Cause(limited).Error()
	case err != nil:
		s.missing[nftlbNew][size] = err.Error()
	default:
		s.add(nftlbNew, size, sample{seconds: u.Seconds, peakMB: float64(u.PeakKB) / 1000})
	}
	return nil
}

// median returns the medians of everything that was measured.
func (s *scale) median(x what, size int) (sample, bool) {
	list := s.samples[x][size]
	if len(list) == 0 {
		return sample{}, false
	}
	mid := func(f func(sample) float64) float64 {
		values := make([]float64, len(list))
		for i, one := range list {
			values[i] = f(one)
		}
		return middle(values)
	}
	return sample{
		seconds: mid(func(s sample) float64 { return s.seconds }),
		peakMB:  mid(func(s sample) float64 { return s.peakMB }),
	}, true
}

// targets are what a table of any size is meant to reach.
func (s *scale) targets(o options) []string {
	small, large := o.sizes[0], o.sizes[len(o.sizes)-1]
	ratio := func(a, b what, sizeA, sizeB int) float64 {
		x, okX := s.median(a, sizeA)
		y, okY := s.median(b, sizeB)
		if !okX || !okY || y.seconds == 0 {
			return -1
		}
		return x.seconds / y.seconds
	}
	again, known := s.written[applyAgain][large]
	line := func(ok bool, text string, value float64) string {
		return fmt.Sprintf("%-7s %s: %.2f", map[bool]string{true: "met", false: "missed"}[ok], text, value)
	}
	fromNothing := ratio(applyNew, rawBatch, large, large)
	flat := ratio(slotMove, slotMove, large, small)
	return []string{
		line(fromNothing >= 0 && fromNothing <= 1.2, fmt.Sprintf("apply from nothing / bare batch at %d VIPs, at most 1.2", large), fromNothing),
		line(known && again == 0, fmt.Sprintf("bytes written by an apply of no change at %d VIPs, 0", large), float64(again)),
		line(flat >= 0 && flat <= 1.5, fmt.Sprintf("one backend's slots, %d VIPs / %d, at most 1.5", large, small), flat),
	}
}

// judge counts the targets that were missed.
func (s *scale) judge(o options) (missed int) {
	for _, t := range s.targets(o) {
		if strings.HasPrefix(t, "missed") {
			missed++
		}
	}
	return missed
}

func (s *scale) write(w io.Writer, o options) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "ms / peak MB / netlink bytes\t")
	for _, size := range o.sizes {
		fmt.Fprintf(tw, "%d VIPs\t", size)
	}
	fmt.Fprintln(tw)
	var notes []string
	for _, x := range whats {
		fmt.Fprintf(tw, "%s\t", x)
		for _, size := range o.sizes {
			m, ok := s.median(x, size)
			switch {
			case !ok:
				fmt.Fprint(tw, "-\t")
				if why := s.missing[x][size]; why != "" {
					notes = append(notes, fmt.Sprintf("%s, %d VIPs: %s", x, size, why))
				}
			default:
				fmt.Fprintf(tw, "%.1f / %.1f", 1000*m.seconds, m.peakMB)
				if bytes, ok := s.written[x][size]; ok {
					fmt.Fprintf(tw, " / %d", bytes)
				}
				fmt.Fprint(tw, "\t")
			}
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nEach VIP has %d backends. A command's time is that of the whole process: start, reading the file, the kernel.\n"+
		"The bare batch holds the elements of the slot tables alone, built and sent by google/nftables; its time is without the start.\n%s\n%s\n\n",
		backendsPerVIP, strings.Join(notes, "\n"), strings.Join(s.targets(o), "\n"))
	return err
}

// middle is the median, 0 of nothing.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
