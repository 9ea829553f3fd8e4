package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestUnasked: whatever a server says that nobody asked for, in whatever pieces, its own address does not reach a client in
// a reply that some client takes for the answer to PASV, EPSV or LPSV. The same holds where it was asked for and the reply
// cannot be read.
func TestUnasked(t *testing.T) {
	const own = "10,2,0,11,195,80"
	long := strings.Repeat("x", 600)
	for _, tt := range []struct{ name, reply string }{
		{"usual", "227 Entering Passive Mode (" + own + ").\r\n"},
		{"first line", "227-Entering (" + own + ")\r\n227 End\r\n"},
		{"line in between", "227-Entering\r\n " + own + "\r\n227 End\r\n"}, // ftplib and basic-ftp look in all lines
		{"last line", "227-Entering\r\n227 (" + own + ")\r\n"},
		{"tab", "227\t" + own + "\r\n"}, // ftplib looks at three bytes
		{"comma", "227," + own + "\r\n"},
		{"equals", "227=" + own + "\r\n"},
		{"parenthesis", "227(" + own + ")\r\n"},
		{"behind a long text", "227 " + long + " (" + own + ")\r\n"},
		{"before a long text", "227 (" + own + ") " + long + "\r\n"},
		{"long first line", "227-" + long + " (" + own + ")\r\n227 End\r\n"},
		{"long line in between", "227-x\r\n" + long + " (" + own + ")\r\n227 End\r\n"},
		{"extended, with the address", "229 Entering Extended Passive Mode (|1|10.2.0.11|50000|)\r\n"},
		{"extended, in two lines", "229-Entering (|1|10.2.0.11|50000|)\r\n229 End\r\n"},
		{"extended, long", "229 " + long + " (|1|10.2.0.11|50000|)\r\n"},
		{"long passive mode", "228 Entering Long Passive Mode (4,4,10,2,0,11,2,195,80)\r\n"}, // RFC 1639
	} {
		for _, command := range []string{"NOOP\r\n", "PASV\r\n", "EPSV\r\n"} {
			for _, split := range []int{0, 1, 3, 4, 10, 30} {
				w := greeted(t, ends4(), Policy{})
				w.client(command)
				w.toClient()
				if split > 0 && split < len(tt.reply) {
					w.server(tt.reply[:split])
					w.expire(commitTime)
					w.server(tt.reply[split:])
				} else {
					w.server(tt.reply)
				}
				w.expire(time.Minute)
				got := w.toClient()
				sameLen(t, tt.reply, got)
				for _, leak := range []string{"10,2,0,11", "10.2.0.11"} {
					if strings.Contains(got, leak) {
						t.Errorf("%s, after %q, split at %d: %q", tt.name, command, split, got)
					}
				}
				if len(w.opened) > 0 && command == "NOOP\r\n" {
					t.Errorf("%s: opened %v", tt.name, w.opened)
				}
				said := len(w.opened) > 0 // or else it is counted
				for _, k := range []Kind{EventUnexpected, EventRefused} {
					_, ok := w.last(k)
					said = said || ok
				}
				if !said {
					t.Errorf("%s, after %q: nothing says so", tt.name, command)
				}
				w.server("200 ok\r\n")
				if got := w.toClient(); got != "200 ok\r\n" {
					t.Errorf("%s: the next reply became %q", tt.name, got)
				}
			}
		}
	}
}

// TestUnaskedKeepsOthers: an address that a client may see stays, and so does what names none.
func TestUnaskedKeepsOthers(t *testing.T) {
	for _, reply := range []string{
		"227 Entering Passive Mode (192,0,2,10,195,80).\r\n", "229 Entering Extended Passive Mode (|||50000|)\r\n",
		"227-Terms\r\n of use (2026)\r\n227 End\r\n", "229 hello\r\n", "227\r\n", "2270 (10,2,0,11,195,80)\r\n",
	} {
		w := greeted(t, ends4(), Policy{})
		w.client("NOOP\r\n")
		w.toClient()
		w.server(reply)
		eq(t, w.toClient(), reply)
	}
}

// TestTooLongReply: a reply to PASV that is too long to be read is answered for with a 425, at once.
func TestTooLongReply(t *testing.T) {
	for _, code := range []int{227, 229} {
		w := greeted(t, ends4(), Policy{})
		w.client("PASV\r\n")
		w.toClient()
		in := fmt.Sprintf("%d %s (10,2,0,11,195,80)\r\n", code, strings.Repeat("x", 600))
		w.server(in)
		got := w.toClient()
		sameLen(t, in, got)
		if code == 227 && !strings.HasPrefix(got, "425 ") || strings.Contains(got, "10,2,") {
			t.Errorf("%q", got)
		}
		w.server("227 x (10,2,0,11,195,80)\r\n")
		if code == 227 && len(w.opened) > 0 {
			t.Errorf("it was not the answer to PASV: opened %v", w.opened)
		}
		if a, err := ftplibPASV(got); err == nil && a.Addr() != (netip.Addr{}) {
			t.Errorf("a client reads %v out of %q", a, got)
		}
	}
}
