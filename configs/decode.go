package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pos is where a value stands, and how it is written there.
type pos struct {
	line   int
	source string // the variable or command line that gave the value instead of the file
	path   string
	text   string
}

// state is what became of a key. A bad one is reported already, so nothing more is said about it.
type state uint8

const (
	absent state = iota
	bad
	given
)

// field is a value of the right type, and its place.
type field[T any] struct {
	pos
	state
	val T
}

// items is a list, and its place.
type items[T any] struct {
	pos
	state
	all []T
}

func (in *input) wrongType(p pos, n *yaml.Node, want, remedy string) {
	if isNull(n) {
		p.text = ""
		in.at(p, "the key has no value", want, "give it a value, or delete the key")
		return
	}
	in.at(p, "is "+kindOf(n), want, remedy)
}

// text reads a string.
func (s *section) text(key, want string) field[string] {
	n := s.find(key)
	if ov, ok := s.override(key); ok {
		return field[string]{pos: ov.pos(), state: given, val: ov.text}
	}
	if n == nil {
		return field[string]{pos: s.missing(key), state: s.without()}
	}
	return s.in.text(n, join(s.path, key), want)
}

func (in *input) text(n *yaml.Node, path, want string) field[string] {
	f := field[string]{pos: place(n, path), state: bad}
	if n.Kind != yaml.ScalarNode {
		in.wrongType(f.pos, n, want, "write one value")
		return f
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a name or a range of ports may look like a date
		f.state, f.val = given, n.Value
	default:
		remedy := "write it in the form that is allowed"
		if want == wantName {
			remedy = "put it in quotes"
		}
		in.wrongType(f.pos, n, want, remedy)
	}
	return f
}

// word reads text that may look like a number: a version, a fingerprint, a password.
func (s *section) word(key, want string) field[string] {
	n := s.find(key)
	if n == nil {
		return field[string]{pos: s.missing(key), state: s.without()}
	}
	f := field[string]{pos: place(n, join(s.path, key)), state: bad}
	if secretKey(key) {
		f.text = hidden
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		s.in.wrongType(f.pos, n, want, "write one value")
		return f
	}
	f.state, f.val = given, n.Value
	return f
}

// duration reads a duration as a string: the one mistake that everybody makes deserves its own words.
func (s *section) duration(key string, span span) field[string] {
	n := s.keys[key]
	if n == nil || n.Kind != yaml.ScalarNode || !isNumber(n) {
		return s.text(key, span.want)
	}
	f := field[string]{pos: place(s.find(key), join(s.path, key)), state: bad}
	s.in.at(f.pos, "has no unit", span.want, span.withUnit(n.Value))
	return f
}

func isNumber(n *yaml.Node) bool { return n.ShortTag() == "!!int" || n.ShortTag() == "!!float" }

// bounds are the smallest and the biggest allowed number.
type bounds struct{ min, max int }

func (b bounds) String() string { return fmt.Sprintf("%d..%d", b.min, b.max) }

// decimal is how a number is written. 021 and 0x15 are numbers to YAML, but not the ones that people read.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number reads a whole number within b.
func (s *section) number(key string, b bounds) field[int] {
	n := s.find(key)
	if ov, ok := s.override(key); ok {
		return s.in.inBounds(field[int]{pos: ov.pos(), state: bad}, ov.text, b)
	}
	if n == nil {
		return field[int]{pos: s.missing(key), state: s.without()}
	}
	f := field[int]{pos: place(n, join(s.path, key)), state: bad}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" || decimal.MatchString(n.Value) && n.Style == 0 {
		return s.in.inBounds(f, n.Value, b)
	}
	remedy := "write a whole number"
	if decimal.MatchString(n.Value) {
		remedy = "remove the quotes"
	}
	s.in.wrongType(f.pos, n, b.String(), remedy)
	return f
}

func (in *input) inBounds(f field[int], text string, b bounds) field[int] {
	if !decimal.MatchString(text) {
		in.at(f.pos, "is not a plain decimal number", b.String(), "write digits only, without a leading zero")
		return f
	}
	val, err := strconv.Atoi(text)
	switch {
	case strings.HasPrefix(text, "-") || err == nil && val < b.min:
		in.at(f.pos, "is too small", b.String(), fmt.Sprintf("use %d or more", b.min))
	case err != nil || val > b.max:
		in.at(f.pos, "is too big", b.String(), fmt.Sprintf("use %d or less", b.max))
	default:
		f.state, f.val = given, val
	}
	return f
}

// texts reads a list of strings.
func (s *section) texts(key, want string) items[field[string]] {
	if n := s.keys[key]; n != nil && n.Kind == yaml.ScalarNode && !isNull(n) {
		at := place(s.find(key), join(s.path, key))
		s.in.wrongType(at, n, want, "put it in brackets: ["+at.text+"]")
		return items[field[string]]{pos: at, state: bad}
	}
	return readItems(s, key, want, func(n *yaml.Node, path string) field[string] {
		return s.in.text(n, path, want)
	})
}

// oneOrMore reads a list of strings, or a single one, which is a list of one.
func (s *section) oneOrMore(key, want string) (l items[field[string]], isList bool) {
	n := s.keys[key]
	if n == nil || n.Kind == yaml.SequenceNode {
		return s.texts(key, want), n != nil
	}
	one := s.in.text(s.find(key), join(s.path, key), want)
	return items[field[string]]{pos: one.pos, state: one.state, all: []field[string]{one}}, false
}

// sections reads a list of maps.
func sections[T any](s *section, key, want string, read func(*section) T) items[T] {
	return readItems(s, key, want, func(n *yaml.Node, path string) (element T) {
		readSection(s.in, n, place(n, path), deeper, func(s *section) { element = read(s) })
		return element
	})
}

// readItems reads a list, each element with read.
func readItems[T any](s *section, key, want string, read func(*yaml.Node, string) T) items[T] {
	n := s.find(key)
	if n == nil {
		return items[T]{pos: s.missing(key), state: s.without()}
	}
	l := items[T]{pos: place(n, join(s.path, key)), state: bad}
	if n.Kind != yaml.SequenceNode {
		s.in.wrongType(l.pos, n, want, "start each element on a line of its own, with '- ' before it")
		return l
	}
	l.state = given
	for i, item := range n.Content {
		l.all = append(l.all, read(item, index(l.path, i)))
	}
	return l
}
