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

// object is a map whose keys are known ones.
type object struct {
	pos
	keys map[string]*yaml.Node
}

// decoder gives typed access to the tree and reports every value of a wrong type.
type decoder struct {
	*report
	overrides map[string]override
}

// object reads a map, reporting keys that are not in known, and keys given twice.
func (d *decoder) object(n *yaml.Node, path string, known []string) (object, bool) {
	o := object{pos: pos{line: n.Line, path: path}, keys: make(map[string]*yaml.Node)}
	if n.Kind != yaml.MappingNode {
		o.text = show(n)
		d.wrongType(o.pos, n, "a map with the keys "+list(known),
			"write one 'key: value' a line, indented under "+path)
		return o, false
	}
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		isKnown := k.Kind == yaml.ScalarNode && contains(known, k.Value)
		if isKnown && first[k.Value] == 0 {
			first[k.Value] = k.Line
			o.keys[k.Value] = val
			continue
		}
		at := pos{line: k.Line, path: join(path, key(k)), text: show(val)}
		if secretKey(k.Value) {
			at.text = hidden
		}
		if !isKnown {
			d.unknownKey(at, k.Value, known)
			continue
		}
		d.at(at, fmt.Sprintf("the key was given already on line %d", first[k.Value]), "", "keep one of the two lines")
	}
	return o, true
}

func (d *decoder) unknownKey(at pos, name string, known []string) {
	remedy := "delete the line"
	if n := nearest(name, known); n != "" {
		remedy = "did you mean " + n + "?"
	}
	d.at(at, "unknown key", list(known), remedy)
}

// key shows a key in a path.
func key(k *yaml.Node) string {
	if k.Kind != yaml.ScalarNode {
		return show(k)
	}
	if plainKey.MatchString(k.Value) {
		return k.Value
	}
	return quoted(k.Value)
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (o object) at(key string) pos { return pos{line: o.line, path: join(o.path, key)} }

// place is where a node that is reached by path stands.
func place(n *yaml.Node, path string) pos { return pos{line: n.Line, path: path, text: show(n)} }

func (d *decoder) wrongType(p pos, n *yaml.Node, want, remedy string) {
	if isNull(n) {
		p.text = ""
		d.at(p, "the key has no value", want, "give it a value, or delete the key")
		return
	}
	d.at(p, "is "+kindOf(n), want, remedy)
}

// text reads a string.
func (d *decoder) text(o object, key, want string) field[string] {
	if ov, ok := d.overrides[join(o.path, key)]; ok {
		return field[string]{pos: ov.pos(), state: given, val: ov.text}
	}
	n, ok := o.keys[key]
	if !ok {
		return field[string]{pos: o.at(key)}
	}
	return d.textNode(n, join(o.path, key), want)
}

func (d *decoder) textNode(n *yaml.Node, path, want string) field[string] {
	f := field[string]{pos: place(n, path), state: bad}
	if n.Kind != yaml.ScalarNode {
		d.wrongType(f.pos, n, want, "write one value")
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
		d.wrongType(f.pos, n, want, remedy)
	}
	return f
}

// bounds are the smallest and the biggest allowed number.
type bounds struct{ min, max int }

func (b bounds) String() string { return fmt.Sprintf("%d..%d", b.min, b.max) }

// decimal is how a number is written. 021 and 0x15 are numbers to YAML, but not the ones that people read.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number reads a whole number within b.
func (d *decoder) number(o object, key string, b bounds) field[int] {
	path := join(o.path, key)
	if ov, ok := d.overrides[path]; ok {
		return d.inBounds(field[int]{pos: ov.pos(), state: bad}, ov.text, b)
	}
	n, ok := o.keys[key]
	if !ok {
		return field[int]{pos: o.at(key)}
	}
	f := field[int]{pos: place(n, path), state: bad}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" || decimal.MatchString(n.Value) && n.Style == 0 {
		return d.inBounds(f, n.Value, b)
	}
	remedy := "write a whole number"
	if decimal.MatchString(n.Value) {
		remedy = "remove the quotes"
	}
	d.wrongType(f.pos, n, b.String(), remedy)
	return f
}

func (d *decoder) inBounds(f field[int], text string, b bounds) field[int] {
	if !decimal.MatchString(text) {
		d.at(f.pos, "is not a plain decimal number", b.String(), "write digits only, without a leading zero")
		return f
	}
	val, err := strconv.Atoi(text)
	switch {
	case strings.HasPrefix(text, "-") || err == nil && val < b.min:
		d.at(f.pos, "is too small", b.String(), fmt.Sprintf("use %d or more", b.min))
	case err != nil || val > b.max:
		d.at(f.pos, "is too big", b.String(), fmt.Sprintf("use %d or less", b.max))
	default:
		f.state, f.val = given, val
	}
	return f
}

// decodeList reads a list, each element with decode.
func decodeList[T any](d *decoder, o object, key, want string, decode func(*yaml.Node, string) T) items[T] {
	n, ok := o.keys[key]
	if !ok {
		return items[T]{pos: o.at(key)}
	}
	l := items[T]{pos: place(n, join(o.path, key)), state: bad}
	if n.Kind != yaml.SequenceNode {
		d.wrongType(l.pos, n, want, "start each element on a line of its own, with '- ' before it")
		return l
	}
	l.state = given
	for i, item := range n.Content {
		l.all = append(l.all, decode(item, index(l.path, i)))
	}
	return l
}
