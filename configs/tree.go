package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parseTree turns the text into the one mapping that a configuration is. It returns nil, and has reported why,
// if there is none.
func parseTree(r *report, data []byte) *yaml.Node {
	if p, bad := checkText(data); bad {
		r.add(p)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && isEmpty(&doc) {
		r.add(Problem{Message: "the file is empty", Want: "a map with the keys " + list(rootKeys()),
			Remedy: "start from the reference file ftpvip.yaml; 'vips: []' alone is a valid, empty table"})
		return nil
	}
	if err != nil {
		r.add(guard(syntaxProblem(err, data), data))
		return nil
	}
	switch err = dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.add(guard(syntaxProblem(err, data), data))
		return nil
	default:
		r.add(Problem{Line: next.Line, Message: "a second YAML document starts here", Want: "one document",
			Remedy: "delete the line '---' and join the two, or keep one"})
		return nil
	}
	root := doc.Content[0]
	if !checkNodes(r, root, data) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.add(Problem{Line: root.Line, Value: show(root), Message: "the file is " + kindOf(root) + ", not a map",
			Want: "a map with the keys " + list(rootKeys()), Remedy: "start from the reference file ftpvip.yaml"})
		return nil
	}
	return root
}

// isEmpty reports whether a document holds nothing, or comments alone.
func isEmpty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || isNull(doc.Content[0])
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// checkText finds what the YAML parser reports without a line, or not at all.
func checkText(data []byte) (Problem, bool) {
	if len(data) > MaxSize {
		return Problem{
			Message: fmt.Sprintf("the file is bigger than %d MiB", MaxSize>>20),
			Want:    fmt.Sprintf("at most %d bytes", MaxSize),
			Remedy:  "check that --config names the configuration and not something else",
		}, true
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return Problem{Line: 1, Message: "the file is UTF-16", Want: "UTF-8 text", Remedy: "save it as UTF-8"}, true
	}
	line := 1
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == '\n':
			line++
		case c == utf8.RuneError && size == 1:
			return Problem{Line: line, Value: fmt.Sprintf("byte 0x%02x", data[i]), Message: "not UTF-8",
				Want: "UTF-8 text", Remedy: "save the file as UTF-8, or delete the character"}, true
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return Problem{Line: line, Value: fmt.Sprintf("byte 0x%02x", c), Message: "a control character",
				Want: "text", Remedy: "delete it; is this a text file?"}, true
		}
		i += size
	}
	return Problem{}, false
}

// yamlError is how the YAML library words its errors, which have no type and no field for the line. It leaves the line out on line 1, and its parser, unlike
// its scanner, counts lines from 0: parserError has the messages of the former.
var (
	yamlError   = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	parserError = regexp.MustCompile(`expected (<document start>|'-' indicator|key|node content|',' or '[\]}]')$`)
	unknownName = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxProblem explains a parser's error. Its line is often where the broken construct starts.
func syntaxProblem(err error, data []byte) Problem {
	if line := tabIndent(data); line > 0 {
		return Problem{Line: line, Message: "a tab in the indentation", Want: "spaces",
			Remedy: "indent with spaces; YAML does not take tabs there"}
	}
	p := Problem{Line: 1, Message: err.Error(),
		Remedy: "look here and in the lines after: colons, quotes, brackets, and indentation by spaces"}
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		p.Message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = n
			if parserError.MatchString(p.Message) {
				p.Line++
			}
		}
	}
	if m := unknownName.FindStringSubmatch(p.Message); m != nil { // the one error that never has a line
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		p.Line = 1 + bytes.Count(before, []byte("\n"))
		p.Remedy = "YAML aliases are not supported; put text that starts with * in quotes"
	}
	p.Message = "not valid YAML: " + p.Message
	return p
}

// tabIndent returns the first line that is indented by a tab, or 0.
func tabIndent(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		rest := bytes.TrimLeft(line, " ")
		if len(rest) > 0 && rest[0] == '\t' && len(bytes.TrimSpace(rest)) > 0 {
			return n
		}
	}
	return 0
}

// checkNodes refuses aliases, anchors and explicit tags anywhere: they hide values from the line that the admin
// looks at, and a few lines of aliases can grow to gigabytes.
func checkNodes(r *report, n *yaml.Node, data []byte) bool {
	ok := true
	refuse := func(value, what, remedy string) {
		ok = false
		r.add(guard(Problem{Line: n.Line, Value: shortened(value), Message: what, Remedy: remedy}, data))
	}
	switch {
	case n.Kind == yaml.AliasNode:
		refuse("*"+n.Value, "YAML aliases are not supported", "write the value itself")
		return false // n.Alias is visited where it is anchored
	case n.Anchor != "":
		refuse("&"+n.Anchor, "YAML anchors are not supported", "delete it, and write the value where it is needed")
	case n.Style&yaml.TaggedStyle != 0:
		refuse(n.Tag, "YAML tags are not supported", "delete it")
	}
	for _, child := range n.Content {
		ok = checkNodes(r, child, data) && ok
	}
	return ok
}

// show gives a value as the file has it, for messages.
func show(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "{...}"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "[]"
	case n.Kind == yaml.SequenceNode:
		return "[...]"
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0, strings.ContainsFunc(n.Value, notPlain):
		return quoted(n.Value)
	}
	return shortened(n.Value)
}

func notPlain(c rune) bool { return c <= ' ' || !strconv.IsPrint(c) }

// kindOf names a node's type in an admin's words.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	default: // a scalar: its tag says what
	}
	switch n.ShortTag() {
	case "!!bool":
		return "a boolean"
	case "!!int":
		return "a number"
	case "!!float":
		return "a number with a fraction"
	}
	return "text"
}
