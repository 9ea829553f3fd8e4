// Summary reads what `go test -json` prints, and prints a line for each package, the output of what failed, and at the
// end how many tests were skipped and why: go test says nothing of them.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := summarize(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "summary: %v\n", err)
		os.Exit(1)
	}
}

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// summarize is for a whole run; what is no event (a compiler's words) is passed on.
func summarize(r io.Reader, w io.Writer) error {
	outputs := map[[2]string][]string{} // of a test that has not ended; of a package, with no test
	reasons := map[string]int{}
	skipped := 0
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(w, in.Text())
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			outputs[key] = append(outputs[key], e.Output)
		case "pass":
			if e.Test == "" {
				printLast(w, outputs[key])
			}
			delete(outputs, key)
		case "skip":
			if e.Test != "" {
				skipped++
				reasons[reason(outputs[key])]++
			}
			delete(outputs, key)
		case "fail":
			for _, line := range outputs[key] {
				fmt.Fprint(w, line)
			}
			delete(outputs, key)
		}
	}
	if skipped > 0 {
		fmt.Fprintf(w, "%d tests were skipped:\n", skipped)
		for _, why := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
			return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
		}) {
			fmt.Fprintf(w, "%6d %s\n", reasons[why], why)
		}
	}
	return in.Err()
}

// printLast prints the line in which go test judges a package.
func printLast(w io.Writer, lines []string) {
	if len(lines) > 0 {
		fmt.Fprint(w, lines[len(lines)-1])
	}
}

// reason is what a test said when it was skipped, without the place.
func reason(lines []string) string {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(text, ": "); ok {
				return text
			}
		}
	}
	return "(no reason was given)"
}
