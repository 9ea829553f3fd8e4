// Command scale measures the rules side of ftpvip at 1 to 1000 VIPs with 10 backends each: whole commands, the
// kernel's share of them, and what a table of that size costs a new connection and a transfer. Beside it stand the same
// elements as a bare netlink batch, nftlb, and rules that an admin writes by hand. Everything runs in network
// namespaces of its own.
//
// The ftpvip binary is the one that FTPVIP_BIN names, else the one beside this program.
//
// It exits with 0 if everything could be measured, with 1 if with -check a target is missed, with 2 if there was
// trouble, with 64 on wrong usage and with 77 without root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// The exit codes beside 0; see sysexits.h for the last two.
const (
	exitMissed  = 1
	exitTrouble = 2
	exitUsage   = 64
	exitNoPerm  = 77
)

// options are the flags.
type options struct {
	sizes  []int // of the table, in VIPs
	rounds int
	span   time.Duration // of one measurement of traffic
	bulk   int64         // bytes of one transfer
	patience,
	limit time.Duration
	check bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	server.MainIfChild()
	if isChild, err := child(args, stdout); isChild {
		if err != nil {
			fmt.Fprintf(stderr, "scale: %s: %v\n", args[0], err)
			return exitTrouble
		}
		return 0
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	if err := lab.Enter(); err != nil {
		fmt.Fprintf(stderr, "scale: %v\n", err)
		if errors.Is(err, lab.ErrNeedsRoot) {
			return exitNoPerm
		}
		return exitTrouble
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.limit, fmt.Errorf("not done after %v (-limit)", o.limit))
	defer cancel()
	missed, err := measure(ctx, o, stdout)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "scale: %v\n", err)
		return exitTrouble
	case o.check && missed > 0:
		return exitMissed
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(stderr)
	sizes := flags.String("vips", "1,10,100,1000", "`sizes` of the table, in VIPs")
	flags.IntVar(&o.rounds, "rounds", 3, "`rounds`; medians are shown")
	flags.DurationVar(&o.span, "for", time.Second, "`time` that new connections are counted in each round")
	flags.Int64Var(&o.bulk, "bulk", 1<<30, "`bytes` of one transfer; 0: none")
	flags.DurationVar(&o.patience, "patience", 120*time.Second, "`time` after which nftlb is given up")
	flags.DurationVar(&o.limit, "limit", 20*time.Minute, "`time` after which to give up")
	flags.BoolVar(&o.check, "check", false, "exit with 1 if a target is missed")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for text := range strings.SplitSeq(*sizes, ",") {
		n, convErr := strconv.Atoi(text)
		if convErr != nil || n < 1 || n > maxVIPs {
			err = fmt.Errorf("-vips: %q is not a number from 1 to %d", text, maxVIPs)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("no arguments are expected, but there is %q", flags.Arg(0))
	case o.rounds < 1:
		err = errors.New("-rounds: at least 1")
	case o.span < 10*time.Millisecond:
		err = errors.New("-for: at least 10ms")
	case o.bulk < 0:
		err = errors.New("-bulk: not a number of bytes")
	}
	if err != nil {
		fmt.Fprintf(stderr, "scale: %v\n", err)
	}
	return o, err
}

// measure does everything and returns how many targets were missed.
func measure(ctx context.Context, o options, w io.Writer) (missed int, err error) {
	path, err := lab.FindProgram()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	scale, err := measureScale(ctx, o, path)
	if err != nil {
		return 0, err
	}
	traffic, err := measureTraffic(ctx, o, path)
	if err != nil {
		return 0, err
	}
	missed = scale.judge(o)
	fmt.Fprintf(w, "Linux %s, load %s. Medians of %d rounds; %v in all.\n\n", firstField("/proc/sys/kernel/osrelease", 1),
		firstField("/proc/loadavg", 2), o.rounds, time.Since(start).Round(time.Second))
	return missed, errors.Join(scale.write(w, o), traffic.write(w))
}

func firstField(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	fields := strings.Fields(string(b))
	return strings.Join(fields[:min(n, len(fields))], " ")
}
