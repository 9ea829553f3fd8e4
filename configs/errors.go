package configs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is everything that is wrong with one configuration, sorted by line.
type Error struct {
	Path     string // the file, as the caller named it
	Problems []Problem
	Err      error // what the system said, where the file could not be read; else nil
}

// Problem is one thing that is wrong.
type Problem struct {
	Line    int    // 1 is the first line; 0 where no line is to blame
	Source  string // the environment variable (or "command line") the value came from; "" for the file
	Path    string // such as pools[0].backends[1].port; "" for the file as a whole
	Value   string // the value as written, shortened; "" if there is none
	Message string // what is wrong with it
	Want    string // what is allowed; "" where a list of values says nothing
	Remedy  string // what the admin can do about it
}

// Error gives one line for each problem: FILE:LINE: PATH: VALUE: message; allowed: ...; remedy: ...
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.place(e.Path))
		b.WriteString(": ")
		b.WriteString(p.String())
	}
	return b.String()
}

// Unwrap returns what the system said, so that errors.Is finds fs.ErrNotExist and fs.ErrPermission.
func (e *Error) Unwrap() error { return e.Err }

// place names the file and line, or the variable, that holds the problem.
func (p Problem) place(file string) string {
	switch {
	case p.Source != "":
		return p.Source
	case p.Line > 0:
		return file + ":" + strconv.Itoa(p.Line)
	}
	return file
}

// String gives the problem without its file and line.
func (p Problem) String() string {
	var parts []string
	for _, s := range []string{p.Path, p.Value} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	s := strings.Join(append(parts, p.Message), ": ")
	if p.Want != "" {
		s += "; allowed: " + p.Want
	}
	if p.Remedy != "" {
		s += "; remedy: " + p.Remedy
	}
	return s
}

// report collects problems. One that is found twice, say once for each address family, is kept once.
type report struct {
	problems []Problem
	seen     map[Problem]bool
}

func (r *report) add(p Problem) {
	if r.seen[p] {
		return
	}
	if r.seen == nil {
		r.seen = make(map[Problem]bool)
	}
	r.seen[p] = true
	r.problems = append(r.problems, p)
}

// at adds a problem with the value that stands at p.
func (r *report) at(p pos, message, want, remedy string) {
	r.add(Problem{
		Line: p.line, Source: p.source, Path: p.path, Value: p.text,
		Message: message, Want: want, Remedy: remedy,
	})
}

// err returns the problems as an error, or nil if there is none.
func (r *report) err(path string) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{Path: path, Problems: r.problems}
}

// maxShown is how many characters of a value a message repeats.
const maxShown = 60

// quoted shows s between quotes, shortened and with control characters escaped: the file may be hostile to the
// terminal that prints the message.
func quoted(s string) string { return strconv.Quote(shortened(s)) }

func shortened(s string) string {
	if utf8.RuneCountInString(s) <= maxShown {
		return s
	}
	return string([]rune(s)[:maxShown]) + "..."
}
