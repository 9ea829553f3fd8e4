package rules

import (
	"fmt"
	"strings"

	"ftpvip/configs"
)

// Text renders the table as text that `nft -f` loads where no table of ours is.
func (r *Ruleset) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", TableName)
	blank := ""
	block := func(head string, lines []string) {
		fmt.Fprintf(&b, "%s\t%s {\n", blank, head)
		for _, l := range lines {
			fmt.Fprintf(&b, "\t\t%s\n", l)
		}
		b.WriteString("\t}\n")
		blank = "\n"
	}
	for _, h := range r.Helpers {
		block("ct helper "+h.Name, h.lines())
	}
	for _, c := range r.Counters {
		block("counter "+c.Name, nil)
	}
	for _, f := range r.Flowtables {
		block("flowtable "+f.Name, f.lines())
	}
	for _, s := range r.Sets {
		block(s.kind()+" "+s.Name, s.lines())
	}
	for _, c := range r.Chains {
		block("chain "+c.Name, c.lines())
	}
	b.WriteString("}\n")
	return b.String()
}

func (h CTHelper) lines() []string {
	return []string{fmt.Sprintf("type %q protocol tcp", h.Type), "l3proto " + nftFamily(h.Family)}
}

// kind is "set" or "map".
func (s *Set) kind() string {
	if s.IsMap() {
		return "map"
	}
	return "set"
}

func (s *Set) lines() []string {
	lines := []string{s.typeText()}
	if s.Slots > 0 {
		lines = append(lines, fmt.Sprintf("size %d", s.Slots))
	}
	if s.Dynamic != nil {
		lines = append(lines, s.Dynamic.lines()...)
	}
	if s.Interval {
		lines = append(lines, "flags interval")
	}
	for i, e := range s.Elements {
		prefix, suffix := "             ", ","
		if i == 0 {
			prefix = "elements = { "
		}
		if i == len(s.Elements)-1 {
			suffix = " }"
		}
		lines = append(lines, prefix+s.ElementText(e)+suffix)
	}
	return lines
}

// typeText declares key and data. nft has no name for the type of a slot number, only for what yields it.
func (s *Set) typeText() string {
	if len(s.Key) == 1 && s.Key[0] == Slot {
		f := configs.IPv4
		if s.Data[0] == Addr6 {
			f = configs.IPv6
		}
		return fmt.Sprintf("typeof numgen inc mod %d : %s daddr . tcp dport", s.Slots, nftFamily(f))
	}
	text := "type " + typesText(s.Key)
	if s.IsMap() {
		text += " : " + typesText(s.Data)
	}
	return text
}

func typesText(types []Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = map[Type]string{
			Addr4: "ipv4_addr", Addr6: "ipv6_addr", Service: "inet_service", Slot: "integer", Verdict: "verdict", Tag: "classid",
		}[t]
	}
	return strings.Join(names, " . ")
}

// ElementText renders one element of s.
func (s *Set) ElementText(e Element) string {
	text := s.keyText(e)
	switch {
	case e.Goto != "":
		text += " : goto " + e.Goto
	case s.IsMap():
		text += " : " + strings.Join(components(s.Data, e.Data), " . ")
	}
	return text
}

// keyText renders the key. Ranges are written in every component that has two ends.
func (s *Set) keyText(e Element) string {
	if prefix, ok := s.prefix(e); ok {
		return prefix.String()
	}
	first := components(s.Key, e.Key)
	if e.End != "" && e.End != e.Key {
		for i, last := range components(s.Key, e.End) {
			if last != first[i] {
				first[i] += "-" + last
			}
		}
	}
	return strings.Join(first, " . ")
}

// components cuts register bytes into the texts of their parts.
func components(types []Type, b string) []string {
	parts := make([]string, 0, len(types))
	for _, t := range types {
		n := t.size()
		if len(b) < n {
			return append(parts, fmt.Sprintf("%#x", b))
		}
		parts = append(parts, t.text(b[:n]))
		b = b[n:]
	}
	return parts
}

func (c *Chain) lines() []string {
	lines := make([]string, 0, len(c.Rules)+1)
	if c.Base != nil {
		lines = append(lines, c.Base.text())
	}
	for _, r := range c.Rules {
		lines = append(lines, r.String())
	}
	return lines
}

func (b *Base) text() string {
	policy := "accept"
	if b.Drop {
		policy = "drop"
	}
	return fmt.Sprintf("type %s hook %s priority %d; policy %s;", b.Type, b.Hook, b.Priority, policy)
}
