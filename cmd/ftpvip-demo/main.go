// Command ftpvip-demo shows ftpvip at work: it builds a small network out of namespaces, starts FTP servers in it, runs
// the real ftpvip there, moves files through the virtual IP in every FTP mode, and lets a server die. It touches
// nothing of the host, and nothing of it is left when it ends.
//
// It exits with 0 only if everything went as it should, with 1 if a row of its report is not OK, with 2 if it could
// not get that far, with 64 on wrong usage and with 77 without root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// The exit codes beside 0; see sysexits.h for the last two.
const (
	exitNotOK   = 1
	exitTrouble = 2
	exitUsage   = 64
	exitNoPerm  = 77
)

// limit ends a demo that hangs.
const limit = time.Minute

func main() {
	server.MainIfChild()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("ftpvip-demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	verbose := flags.Bool("v", false, "show how the network is built, whole command lines and the helper's log")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: ftpvip-demo [-v]\n\nThe ftpvip binary is the one beside this program, or what FTPVIP_BIN names.")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		flags.Usage()
		return exitUsage
	}
	if err := lab.Enter(); err != nil {
		if errors.Is(err, lab.ErrNeedsRoot) {
			fmt.Fprintf(stderr, "ftpvip-demo %v, to make network namespaces: run `sudo make demo`\n", err)
			return exitNoPerm
		}
		fmt.Fprintf(stderr, "ftpvip-demo: %v\n", err)
		return exitTrouble
	}

	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("the demo took longer than %v", limit))
	defer cancel()
	d := &demo{story: &story{out: stdout, verbose: *verbose}, helperLog: stderr}
	if !*verbose {
		d.helperLog = nil
	}
	begin := time.Now()
	err := d.run(ctx)
	d.close()
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "ftpvip-demo: %v\n", err)
		return exitTrouble
	case d.bad > 0:
		d.story.say("\n%d of %d rows are not OK.", d.bad, d.rows)
		return exitNotOK
	}
	d.story.say("\nAll %d rows are OK. It took %.1f s, and nothing is left of it.", d.rows, time.Since(begin).Seconds())
	return 0
}
