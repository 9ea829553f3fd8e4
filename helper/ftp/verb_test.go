package ftp

import (
	"slices"
	"strings"
	"testing"
)

// talk is what the engine reports of a dialogue, in a word for each event.
func (w *wire) talk() string {
	var list []string
	for _, e := range w.events {
		switch e.Kind {
		case EventCommand:
			list = append(list, e.Verb.String())
		case EventGoodbye, EventGivesUp:
			list = append(list, e.Kind.String())
		default:
		}
	}
	return strings.Join(list, " ")
}

func TestVerbs(t *testing.T) {
	for line, want := range map[string]string{
		"PASV\r\n": "PASV", "retr file\r\n": "RETR", "CWD /\r\n": "CWD", "LIST\n": "LIST", "STORE x\r\n": "other", "XYZZY\r\n": "other",
		"\r\n": "", " PASV\r\n": "other", "12345\r\n": "other", "stor\r\n": "STOR", "PAS\r\n": "other", "\xff\xf4ABOR\r\n": "ABOR",
		"STOR2 x\r\n": "other", "TYPE I\r\nLIST\r\n": "TYPE LIST", "PORT 203,0,113,9,195,80\r\n": "PORT",
		"STOR " + strings.Repeat("x", 600) + "\r\n": "other",
	} {
		w := greeted(t, ends4(), Policy{})
		w.client(line)
		if got := w.talk(); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
		if n := uint32(len(strings.Fields(want))); w.s.Commands() != n {
			t.Errorf("%q: %d commands", line, w.s.Commands())
		}
	}
}

// TestVerbInPieces: a command that comes in many segments is one, with its verb.
func TestVerbInPieces(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	for _, piece := range []string{"RE", "TR fi", "le\r", "\nNOOP\r\n"} {
		w.client(piece)
	}
	eq(t, w.talk(), "RETR NOOP")
}

func TestFarewells(t *testing.T) {
	for text, want := range map[string]string{
		"221 bye\r\n": "goodbye", "226 ok\r\n221 bye\r\n": "goodbye", "421 Timeout.\r\n": "gives_up", "221-bye\r\n": "",
		"221-a\r\n221 b\r\n": "goodbye", "200 221 \r\n": "", "\r\n": "", "22": "", "221\r\n": "goodbye",
		"211-a\r\n221 b\r\n211 c\r\n": "", "221 " + strings.Repeat("x", 600) + "\r\n": "goodbye",
	} {
		w := greeted(t, ends4(), Policy{})
		w.server(text)
		if got := w.talk(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestVerbNames(t *testing.T) {
	for i, name := range verbNames {
		if v := VerbOf(name); v.String() != name || i > 0 && int(v) != i {
			t.Errorf("%s is %v", name, v)
		}
	}
	if !slices.IsSorted(verbNames[1:]) || VerbOf("STORE") != VerbOther || Verb(NumVerbs).String() != "other" {
		t.Error("order, or unknown verbs")
	}
}
