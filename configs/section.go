package configs

import (
	"fmt"
	"regexp"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// input is what values are read from: the file, and what overrides it. It collects what is wrong with them.
type input struct {
	*report
	root  *yaml.Node
	viper *viper.Viper // nil: the file alone
}

// section is a map of the file. The keys that it may have are those that are asked for, so a key is written where it is
// read and nowhere else. They are asked for in the order of the reference file, in which messages list them.
type section struct {
	pos
	state
	in    *input
	level level
	keys  map[string]*yaml.Node // the first of each name
	asked []string
}

// level is where a section stands. The keys of a topSection can be overridden.
type level uint8

const (
	wholeFile level = iota
	topSection
	deeper
)

// newSection reads the map n, or stands for one that is not there if n is nil.
func newSection(in *input, n *yaml.Node, at pos) *section {
	s := &section{pos: at, in: in}
	switch {
	case n == nil:
		return s
	case n.Kind != yaml.MappingNode:
		s.state = bad
		return s
	}
	s.state = given
	s.keys = make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind == yaml.ScalarNode && s.keys[k.Value] == nil {
			s.keys[k.Value] = n.Content[i+1]
		}
	}
	return s
}

// readSection reads a map, and reports what else stands in it than what read asked for.
func readSection(in *input, n *yaml.Node, at pos, l level, read func(*section)) {
	s := newSection(in, n, at)
	s.level = l
	read(s)
	switch s.state {
	case absent:
	case bad:
		in.wrongType(s.pos, n, "a map with the keys "+list(s.asked), "write one 'key: value' a line, indented under "+s.path)
	case given:
		s.leftovers(n)
	}
}

// section reads the map behind a key. One that is left out is the same as an empty one.
func (s *section) section(key string, read func(*section)) {
	n := s.find(key)
	at := s.missing(key)
	if n != nil {
		at = place(n, at.path)
	}
	readSection(s.in, n, at, min(s.level+1, deeper), read)
}

// find asks for a key: it returns its value, or nil if the key is absent.
func (s *section) find(key string) *yaml.Node {
	s.asked = append(s.asked, key)
	if s.level == wholeFile {
		s.in.refuseOverride(key)
	}
	return s.keys[key]
}

// missing is the place of a key that is absent.
func (s *section) missing(key string) pos { return pos{line: s.line, path: join(s.path, key)} }

// without is the state of a key that is absent. What a section that is not a map lacks is not worth a second message.
func (s *section) without() state {
	if s.state == bad {
		return bad
	}
	return absent
}

// leftovers reports keys that nobody asked for, and keys given twice.
func (s *section) leftovers(n *yaml.Node) {
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		known := k.Kind == yaml.ScalarNode && contains(s.asked, k.Value)
		if known && first[k.Value] == 0 {
			first[k.Value] = k.Line
			continue
		}
		at := pos{line: k.Line, path: join(s.path, key(k)), text: show(val)}
		if secretKey(k.Value) {
			at.text = hidden
		}
		if known {
			s.in.at(at, fmt.Sprintf("the key was given already on line %d", first[k.Value]), "", "keep one of the two lines")
			continue
		}
		remedy := "delete the line"
		if n := nearest(k.Value, s.asked); n != "" {
			remedy = "did you mean " + n + "?"
		}
		s.in.at(at, "unknown key", list(s.asked), remedy)
	}
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

// place is where a node that is reached by path stands.
func place(n *yaml.Node, path string) pos { return pos{line: n.Line, path: path, text: show(n)} }
