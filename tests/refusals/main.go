// Command refusals tries ways of spoiling a refused PORT, EPRT, LPRT or LPSV, at equal length, against real FTP servers: a
// spoilt command should draw exactly one error, at once, and open no data connection. It prints a table of forms and
// servers in Markdown; -raw prints every line that was sent and what it drew.
//
// The servers are the lab's and those that the script beside this file fetches into the folder -servers; those that are
// missing are named and left out. Everything runs in network namespaces.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	server.MainIfChild()
	flags := flag.NewFlagSet("refusals", flag.ContinueOnError)
	flags.SetOutput(stderr)
	have := flags.String("servers", ".cache/refusals", "`folder` of fetched servers")
	raw := flags.Bool("raw", false, "print every line and what it drew")
	only := flags.String("run", "", "only forms whose name matches `regexp`")
	on := flags.String("on", "", "only servers whose name matches `regexp`")
	if err := flags.Parse(args); err != nil {
		return 64
	}
	formRE, err := regexp.Compile(*only)
	serverRE, err2 := regexp.Compile(*on)
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintln(stderr, "refusals:", err)
		return 64
	}
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(stderr, "refusals:", err)
		return 1
	}
	folder, err := filepath.Abs(*have)
	if err == nil {
		err = experiment(context.Background(), folder, formRE, serverRE, *raw, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "refusals:", err)
		return 1
	}
	return 0
}

func experiment(ctx context.Context, have string, formRE, serverRE *regexp.Regexp, raw bool, stdout, stderr io.Writer) error {
	all := subjects()
	l, err := lab.New(ctx, lab.Options{Backends: len(all)})
	if err != nil {
		return err
	}
	defer l.Close()
	var here []*subject
	for i, s := range all {
		if !serverRE.MatchString(s.name) {
			continue
		}
		if err := s.start(ctx, l, l.Backends[i], have); err != nil {
			fmt.Fprintf(stderr, "refusals: without %s: %v\n", s.name, err)
			continue
		}
		here = append(here, s)
	}
	var tried []form
	for _, f := range forms() {
		if formRE.MatchString(f.Name) {
			tried = append(tried, f)
		}
	}
	results := make([][][]result, len(here)) // server, form, line
	var wg sync.WaitGroup
	for i, s := range here {
		wg.Go(func() {
			begin := time.Now()
			if trouble := s.endure(ctx, l, "XXXXXXXXXXXXXXXX\r\n"); trouble != "" {
				fmt.Fprintf(stderr, "refusals: %s takes unknown verbs in another way: %s\n", s.name, trouble)
			}
			s.usual = s.try(ctx, l, "NOOP\r\n")
			for _, f := range tried {
				var lines []result
				for _, line := range f.Lines {
					lines = append(lines, s.try(ctx, l, line))
				}
				results[i] = append(results[i], lines)
			}
			fmt.Fprintf(stderr, "refusals: %s is done after %v\n", s.name, time.Since(begin).Round(time.Second))
		})
	}
	wg.Wait()
	if raw {
		printRaw(stdout, here, results)
	}
	printTable(stdout, here, tried, results)
	return nil
}

func printRaw(w io.Writer, here []*subject, results [][][]result) {
	for i, s := range here {
		for _, lines := range results[i] {
			for _, r := range lines {
				fmt.Fprintf(w, "%-12s %-62q %-14s codes %v late %d list %v %v\n", s.name, r.Line, r.class(), r.Codes, r.Late, r.List, r.Own)
			}
		}
	}
}

// printTable prints a row for each form: how many servers draw one error at every length, and what the others do.
func printTable(w io.Writer, here []*subject, tried []form, results [][][]result) {
	fmt.Fprintf(w, "| left to change | form | one error | otherwise |\n|---|---|---|---|\n")
	for k, f := range tried {
		good, others := 0, []string{}
		for i, s := range here {
			bad := map[string]bool{}
			var list []string
			for _, r := range results[i][k] {
				if c := r.class(); !strings.HasPrefix(c, "ok ") && !bad[c] {
					bad[c] = true
					list = append(list, c)
				}
			}
			if len(list) == 0 {
				good++
			} else {
				others = append(others, s.name+": "+strings.Join(list, ", "))
			}
		}
		fmt.Fprintf(w, "| %s | %s | %d of %d | %s |\n", f.Held, f.Name, good, len(here), strings.Join(others, "; "))
	}
}
