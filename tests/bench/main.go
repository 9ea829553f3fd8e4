// Command bench measures ftpvip beside what else puts FTP servers behind a virtual IP: plain DNAT, which reads nothing,
// the kernel's FTP helper, conntrackd's, and a process that only accepts what ftpvip reads. Everything runs side by side in network namespaces of its own, in
// interleaved rounds, so that the ratios hold where the absolute figures depend on the machine.
//
// With -hostile it measures what other clients notice of a hostile one.
//
// The ftpvip binary is the one that FTPVIP_BIN names, else the one beside this program. In a virtual machine
// FTPVIP_KERNEL=stock says which targets apply.
//
// It exits with 0 if everything could be measured, with 1 if with -check a target is missed, with 2 if there was
// trouble or a measurement of ftpvip failed, with 64 on wrong usage and with 77 without root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// The exit codes beside 0; see sysexits.h for the last two.
const (
	exitMissed  = 1
	exitTrouble = 2
	exitUsage   = 64
	exitNoPerm  = 77
)

// What -short means.
const (
	shortRounds = 3
	shortSpan   = 400 * time.Millisecond
)

// options are the flags.
type options struct {
	rounds  int
	short   bool
	only    *regexp.Regexp // nil: everything
	span    time.Duration
	idle    int
	nice    int
	limit   time.Duration
	json    bool
	check   bool
	verbose bool
	hostile bool
	before  string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if isChild, err := child(args, stdout); isChild {
		fmt.Fprintf(stderr, "bench: %s: %v\n", args[0], err)
		return exitTrouble
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	if err := lab.Enter(); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		if errors.Is(err, lab.ErrNeedsRoot) {
			return exitNoPerm
		}
		return exitTrouble
	}
	if o.hostile {
		code, err := measureHostile(o, stdout, stderr)
		if err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
		}
		return code
	}
	r, err := measure(o, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitTrouble
	}
	write := r.text
	if o.json {
		write = r.json
	}
	if err := write(stdout); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitTrouble
	}
	return r.code()
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved `rounds`")
	flags.DurationVar(&o.span, "for", time.Second, "`time` that each measurement takes in each round")
	flags.IntVar(&o.idle, "idle", targetIdle, "control `connections` that the helper's memory is measured with; 0: none")
	flags.BoolVar(&o.short, "short", false, "about a minute in all: 3 rounds of 400ms, unless -rounds and -for say otherwise")
	only := flags.String("only", "", "`regexp` of the measurements to take: PASV on 16, 1 sessions, packets, memory")
	flags.IntVar(&o.nice, "nice", -10, "`niceness` of everything that is measured, where the scheduler groups by session")
	flags.DurationVar(&o.limit, "limit", 15*time.Minute, "`time` after which to give up")
	flags.BoolVar(&o.check, "check", false, "exit with 1 if a target is missed")
	flags.BoolVar(&o.hostile, "hostile", false, "what other clients notice of a hostile one; -only chooses what that does")
	flags.StringVar(&o.before, "before", "", "with -hostile: another ftpvip `program` to measure beside")
	flags.BoolVar(&o.verbose, "v", false, "show progress, and what went wrong in full")
	format := flags.String("o", "text", "`format` of the report: text or json")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case given["rounds"]:
	case o.hostile && o.short:
		o.rounds = 1
	case o.short:
		o.rounds = shortRounds
	}
	if o.short && !given["for"] {
		o.span = shortSpan
	}
	if *only != "" {
		o.only, err = regexp.Compile(*only)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("-only: %w", err)
	case flags.NArg() > 0:
		err = fmt.Errorf("no arguments are expected, but there is %q", flags.Arg(0))
	case *format != "text" && *format != "json":
		err = fmt.Errorf("-o: %q is neither text nor json", *format)
	case o.rounds < 1:
		err = errors.New("-rounds: at least 1")
	case o.span < 10*time.Millisecond:
		err = errors.New("-for: at least 10ms")
	case o.idle < 0:
		err = errors.New("-idle: not a number of connections")
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
	}
	o.json = *format == "json"
	return o, err
}

// measureHostile runs the bench of a hostile client.
func measureHostile(o options, stdout, stderr io.Writer) (code int, err error) {
	fronts := 1
	if o.before != "" {
		fronts++
	}
	all := o
	all.idle *= fronts
	if err := prepare(all); err != nil {
		return exitTrouble, err
	}
	say := func(string, ...any) {}
	if o.verbose {
		say = func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) }
	}
	return hostile(o, stdout, say)
}

// measure runs the bench.
func measure(o options, stderr io.Writer) (*report, error) {
	path, err := lab.FindProgram()
	if err != nil {
		return nil, err
	}
	if err := prepare(o); err != nil {
		return nil, err
	}
	say := func(string, ...any) {}
	if o.verbose {
		say = func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) }
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.limit, fmt.Errorf("not done after %v (-limit)", o.limit))
	defer cancel()
	b := &bench{
		options: o,
		kinds:   []kind{plainDNAT(), kernelHelper(), conntrackd(), floor(path), ftpvip(path)},
		board:   newBoard(),
		say:     say,
	}
	start := time.Now()
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	emulated := lab.Kernel(os.Getenv("FTPVIP_KERNEL")) == lab.Stock
	return &report{options: o, board: b.board, targets: judge(b.board, emulated), took: time.Since(start)}, nil
}

// prepare lets this process and those that it starts have a socket for each connection. Then it makes them a session
// of their own, because the kernel's scheduler gives every session the same share of the processors
// (sched_autogroup): on a machine that does other work beside, a larger share makes the figures depend on it less.
func prepare(o options) error {
	need := uint64(o.idle + 1<<12)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: need, Max: max(need, limit.Max)}); err != nil {
		return fmt.Errorf("raising the limit of open files from %d to %d: %w", limit.Max, need, err)
	}
	if o.nice == 0 {
		return nil
	}
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("making a session: %w", err)
	}
	err := os.WriteFile("/proc/self/autogroup", strconv.AppendInt(nil, int64(o.nice), 10), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("setting the niceness to %d: %w", o.nice, err)
	}
	return nil
}

// code is the exit code of a report.
func (r *report) code() int {
	if !r.board.sound() {
		return exitTrouble
	}
	if r.options.check {
		for _, t := range r.targets {
			if t.Outcome != met {
				return exitMissed
			}
		}
	}
	return 0
}
