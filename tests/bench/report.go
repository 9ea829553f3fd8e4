package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is everything that a run found.
type report struct {
	options options
	board   *board
	targets []target
	took    time.Duration
}

// explanation says what the figures are.
const explanation = `
A PASV is one round trip: sent, 227 received. A session: connect, USER, PASS, PASV, RETR of 1 KB, QUIT; the data
connection goes where the 227 says. The two ends are pinned to a processor each, where there are two.
Nothing rewrites plain DNAT's 227: its clients open data connections to the backend itself, which is routed (two-arm).
So do those of "queue, unread": ftpvip's own rules, with a process that accepts what they queue and does nothing else,
which is the floor for a helper in userspace.
Memory is VmRSS, each connection having moved 1 KB; MB are 1,000,000 bytes.
`

func (r *report) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Linux %s, %s, load %s. Medians of %d interleaved rounds of %v each; %v in all.\n\n",
		release(), processors(), load(), r.options.rounds, r.options.span, r.took.Round(time.Second))
	if err != nil {
		return err
	}
	if err := writeTable(w, r.board.rows()); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(explanation)
	for _, c := range r.board.contestants {
		if c.Skipped != "" {
			fmt.Fprintf(&b, "%s was not measured: %s\n", c.Title, c.Skipped)
		}
	}
	for _, line := range append(r.board.failures(), r.board.remarks...) {
		fmt.Fprintf(&b, "%s\n", line)
	}
	b.WriteByte('\n')
	for _, t := range r.targets {
		fmt.Fprintln(&b, t)
	}
	fmt.Fprintln(&b, summary(r.targets))
	_, err = io.WriteString(w, b.String())
	return err
}

// jsonFigure is a figure with everything that was measured for it.
type jsonFigure struct {
	Key    string               `json:"key"`
	Title  string               `json:"title"`
	Unit   string               `json:"unit,omitempty"`
	Values map[string]jsonValue `json:"values"`           // by contestant
	Ratios map[string]float64   `json:"ratios,omitempty"` // ftpvip over the contestant
}

type jsonValue struct {
	Median float64   `json:"median"`
	Rounds []float64 `json:"rounds"`           // those that went well
	Failed []string  `json:"failed,omitempty"` // why the others did not
}

func (r *report) json(w io.Writer) error {
	var figures []jsonFigure
	for _, f := range r.board.figures {
		j := jsonFigure{Key: f.key, Title: f.title, Unit: f.unit, Values: map[string]jsonValue{}, Ratios: map[string]float64{}}
		for _, c := range r.board.contestants {
			at := cell{f.key, c.Key}
			rounds, failed := r.board.rounds[at], r.board.failed[at]
			if len(rounds)+len(failed) > 0 {
				v := jsonValue{Median: median(rounds), Rounds: append([]float64{}, rounds...)}
				for _, err := range failed {
					v.Failed = append(v.Failed, err.Error())
				}
				j.Values[c.Key] = v
			}
			if ratio, ok := r.board.ratio(f, c.Key); ok && c.Key != ftpvipKey {
				j.Ratios[c.Key] = ratio
			}
		}
		figures = append(figures, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Kernel  string        `json:"kernel"`
		CPUs    int           `json:"cpus"`
		Load    string        `json:"load"`
		Rounds  int           `json:"rounds"`
		Seconds float64       `json:"seconds_each"`
		Took    float64       `json:"seconds_in_all"`
		Peers   []*contestant `json:"peers"`
		Remarks []string      `json:"remarks"`
		Figures []jsonFigure  `json:"figures"`
		Targets []target      `json:"targets"`
	}{
		release(), runtime.NumCPU(), load(), r.options.rounds, r.options.span.Seconds(), r.took.Seconds(),
		r.board.contestants, append([]string{}, r.board.remarks...), figures, r.targets,
	})
}

func release() string { return firstField("/proc/sys/kernel/osrelease", 1) }

// load is the load average of the last 1 and 5 minutes: with other work beside it a run says less.
func load() string { return firstField("/proc/loadavg", 2) }

func firstField(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	fields := strings.Fields(string(b))
	return strings.Join(fields[:min(n, len(fields))], " ")
}

func processors() string {
	return fmt.Sprintf("%d %s", runtime.NumCPU(), plural(runtime.NumCPU(), "CPU"))
}
