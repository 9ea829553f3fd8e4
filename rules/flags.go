package rules

import (
	"strings"
)

// TCPFlags are the control bits of a TCP header (RFC 9293, section 3.1), as they lie in its 14th byte.
type TCPFlags uint8

// The flags that we look at.
const (
	FIN TCPFlags = 1 << 0
	SYN TCPFlags = 1 << 1
	RST TCPFlags = 1 << 2
	URG TCPFlags = 1 << 5
)

// text is nft's word for them.
func (f TCPFlags) text() string {
	var names []string
	for _, n := range []struct {
		flag TCPFlags
		name string
	}{{FIN, "fin"}, {SYN, "syn"}, {RST, "rst"}, {URG, "urg"}} {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return "(" + strings.Join(names, " | ") + ")"
}

// MatchFlags matches TCP segments that have one of the flags at least, or none of them.
type MatchFlags struct {
	Flags TCPFlags
	None  bool
}

// Text implements Statement.
func (s MatchFlags) Text() string {
	if s.None {
		return "tcp flags & " + s.Flags.text() + " == 0x0"
	}
	return "tcp flags & " + s.Flags.text() + " != 0x0"
}

// Needs implements Statement.
func (MatchFlags) Needs() Needs { return Needs{} }
