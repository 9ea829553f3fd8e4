package manual

import (
	"regexp"
	"strings"
)

// Section is one of the reference file's top-level keys.
type Section struct {
	Name string
	Text []string // the comment before it
	Keys []Key
}

// Key is one key below it.
type Key struct {
	Path    string   // such as pools[].health.check
	Example string   // its value in the reference file
	Text    []string // its comment, line by line; a line indented in the file begins with a tab
}

var (
	keyLine     = regexp.MustCompile(`^( *)(- )?([a-z0-9_]+):(?: +("[^"]*"|[^# ].*?))?(?: +# ?(.*)| +#)?$`)
	commentLine = regexp.MustCompile(`^ *#( ?)( *)(.*)$`)
)

// level is one key, or one item of a list, that is open while lines below it are read.
type level struct {
	indent int
	path   string
}

// Sections reads the reference file's keys and comments. A comment belongs to the key on its line, or to the key above
// it where it stands alone and indented; at the beginning of a line it belongs to the section that follows. Of several
// items of a list, a key is taken from the first that has it.
func Sections(reference string) []Section {
	var (
		sections []Section
		open     []level
		pending  []string
		seen     = map[string]bool{}
		current  *Key
	)
	for line := range strings.SplitSeq(reference, "\n") {
		switch m := keyLine.FindStringSubmatch(line); {
		case line == "":
			current = nil
			if len(open) == 0 {
				pending = nil // the file's own heading
			}
			open = nil
		case strings.HasPrefix(line, "#"):
			pending = append(pending, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		case m == nil:
			c := commentLine.FindStringSubmatch(line)
			if c != nil && current != nil {
				text := c[3]
				if c[2] != "" {
					text = "\t" + text
				}
				current.Text = append(current.Text, text)
			}
		case m[1] == "" && m[2] == "":
			sections = append(sections, Section{Name: m[3], Text: pending})
			open, pending, current = []level{{0, m[3]}}, nil, nil
		default:
			indent := len(m[1])
			for len(open) > 0 && open[len(open)-1].indent >= indent {
				open = open[:len(open)-1]
			}
			if len(open) == 0 || len(sections) == 0 {
				continue
			}
			parent := open[len(open)-1].path
			if m[2] != "" {
				parent += "[]"
				open = append(open, level{indent, parent})
				indent += len(m[2])
			}
			path := parent + "." + m[3]
			open = append(open, level{indent, path})
			current = nil
			if seen[path] {
				continue
			}
			seen[path] = true
			s := &sections[len(sections)-1]
			s.Keys = append(s.Keys, Key{Path: path, Example: m[4]})
			current = &s.Keys[len(s.Keys)-1]
			if m[5] != "" {
				current.Text = []string{m[5]}
			}
		}
	}
	return sections
}
