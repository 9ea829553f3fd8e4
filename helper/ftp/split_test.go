package ftp

import (
	"testing"
	"time"
)

// mode is one way to announce a data connection.
type mode struct {
	name  string
	ends  Endpoints
	setup string // what the client says before
	dir   Direction
	line  string
	check func(t *testing.T, line string, d DataConn)
}

func readsPASV(t *testing.T, line string, d DataConn) {
	t.Helper()
	for name, parse := range pasvParsers {
		if a, err := parse(line); err != nil || a != d.At {
			t.Errorf("%s reads %v (%v) out of %q, want %v", name, a, err, line, d.At)
		}
	}
}

func readsEPSV(t *testing.T, line string, d DataConn) {
	t.Helper()
	for name, parse := range epsvParsers {
		if p, err := parse(line); err != nil || p != d.Port {
			t.Errorf("%s reads %d (%v) out of %q, want %d", name, p, err, line, d.Port)
		}
	}
}

func readsPORT(t *testing.T, line string, d DataConn) {
	t.Helper()
	if a, err := scanSix(line[5:]); err != nil || a != d.At {
		t.Errorf("%q reads as %v (%v), want %v", line, a, err, d.At)
	}
}

func readsEPRT(t *testing.T, line string, d DataConn) {
	t.Helper()
	content := splitEnd([]byte(line))
	if a := splitEprt(string(content[5:])); a != d.At {
		t.Errorf("%q reads as %v, want %v", line, a, d.At)
	}
}

var modes = []mode{
	{"PASV", ends4(), "PASV\r\n", FromServer, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n", readsPASV},
	{"EPSV", ends4(), "EPSV\r\n", FromServer, "229 Entering Extended Passive Mode (|||50000|)\r\n", readsEPSV},
	{"EPSV v6", ends6(), "EPSV\r\n", FromServer, "229 Entering Extended Passive Mode (|||50000|)\r\n", readsEPSV},
	{"PORT", ends4(), "", FromClient, "PORT 203,0,113,9,195,80\r\n", readsPORT},
	{"EPRT", ends4(), "", FromClient, "EPRT |1|203.0.113.9|50000|\r\n", readsEPRT},
	{"EPRT v6", ends6(), "", FromClient, "EPRT |2|2001:db8:1::9|50000|\r\n", readsEPRT},
	{"PORT one-arm", oneArm4(), "", FromClient, "PORT 203,0,113,9,195,80\r\n", readsPORT},
	{"EPRT one-arm", oneArm4(), "", FromClient, "EPRT |1|203.0.113.9|50000|\r\n", readsEPRT},
	{"EPRT one-arm v6", oneArm6(), "", FromClient, "EPRT |2|2001:db8:1::9|50000|\r\n", readsEPRT},
}

func (m *mode) start(t *testing.T) *wire {
	w := greeted(t, m.ends, Policy{})
	if m.setup != "" {
		w.client(m.setup)
	}
	w.toClient()
	w.toBackend()
	return w
}

func TestSplitAtEveryByte(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			want := m.start(t)
			want.send(m.dir, m.line)
			whole := want.sees(m.dir)
			for i := 1; i < len(m.line); i++ {
				w := m.start(t)
				w.send(m.dir, m.line[:i])
				w.send(m.dir, m.line[i:])
				eq(t, w.sees(m.dir), whole)
				w.wantOpened(1)
				w.wantNoneHeld()
				m.check(t, whole, w.opened[0])
			}
			t.Run("into single bytes", func(t *testing.T) {
				w := m.start(t)
				for _, c := range []byte(m.line) {
					w.send(m.dir, string(c))
				}
				eq(t, w.sees(m.dir), whole)
				w.wantOpened(1)
				w.wantNoneHeld()
			})
			t.Run("repeated while held", func(t *testing.T) {
				for i := 1; i < len(m.line); i++ {
					w := m.start(t)
					seq := w.seq[m.dir]
					w.send(m.dir, m.line[:i])
					first := w.sees(m.dir)
					w.segment(m.dir, seq, m.line[:i])
					if again := w.sees(m.dir); again != first {
						t.Fatalf("%d: first %q, then %q", i, first, again)
					}
					w.segment(m.dir, seq, m.line) // the sender puts it all into one
					got := w.sees(m.dir)
					eq(t, got[len(got)-len(m.line):], whole)
					w.wantNoneHeld()
				}
			})
		})
	}
}

// TestSplitAndTimeOut lets the first part go before the second comes, as a
// sender does that waits for an acknowledgement. The line must then still be
// right, or else be one that is refused at once.
func TestSplitAndTimeOut(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			good := 0
			for i := 1; i < len(m.line); i++ {
				w := m.start(t)
				w.send(m.dir, m.line[:i])
				w.expire(holdTime)
				w.wantNoneHeld()
				w.send(m.dir, m.line[i:])
				w.expire(holdTime)
				w.wantNoneHeld()
				got := w.sees(m.dir)
				sameLen(t, m.line, got)
				if len(w.opened) == 1 {
					good++
					m.check(t, got, w.opened[0])
					continue
				}
				if m.dir == FromClient && isLegal(got) {
					t.Errorf("split at %d: %q passed", i, got)
				}
				for name, parse := range pasvParsers {
					if a, err := parse(got); m.dir == FromServer && err == nil {
						t.Errorf("split at %d: %s reads %v out of %q", i, name, a, got)
					}
				}
			}
			t.Logf("%d of %d splits work", good, len(m.line)-1)
			if m.dir == FromServer && good < len(m.line)*3/4 {
				t.Errorf("only %d of %d splits work", good, len(m.line)-1)
			}
		})
	}
}

// TestDribble times out after every byte.
func TestDribble(t *testing.T) {
	for _, m := range modes {
		w := m.start(t)
		for _, c := range []byte(m.line) {
			w.send(m.dir, string(c))
			w.expire(holdTime)
			w.wantNoneHeld()
		}
		got := w.sees(m.dir)
		sameLen(t, m.line, got)
		t.Logf("%s: %q, %v", m.name, got, w.opened)
		if len(w.opened) == 1 {
			m.check(t, got, w.opened[0])
		} else if m.dir == FromClient && isLegal(got) {
			t.Errorf("%q passed", got)
		}
	}
}

// TestBadSplitAndTimeOut does the same with lines that must never get through.
func TestBadSplitAndTimeOut(t *testing.T) {
	for _, line := range []string{
		"PORT 10,2,0,99,195,80\r\n",
		"PORT 203,0,113,99,195,80\r\n",
		"PORT 203,0,113,9,0,22\r\n",
		"EPRT |1|10.2.0.99|5000|\r\n",
		"EPRT |1|203.0.113.9|22|\r\n",
		"LPRT 4,4,203,0,113,9,2,195,80\r\n",
		"LPSV\r\n",
	} {
		for i := 1; i < len(line); i++ {
			for j := i; j < len(line); j++ {
				w := greeted(t, ends4(), Policy{})
				for _, part := range []string{line[:i], line[i:j], line[j:]} {
					if part != "" {
						w.client(part)
						w.expire(holdTime)
					}
				}
				got := w.toBackend()
				sameLen(t, line, got)
				if isLegal(got) {
					t.Errorf("%q split at %d, %d passed as %q", line, i, j, got)
				}
				w.wantOpened(0)
			}
		}
	}
	for i := range 50 {
		line := "227 Entering Passive Mode (10,2,0,12,195,80).\r\n"
		if i == 0 || i >= len(line) {
			continue
		}
		w := greeted(t, ends4(), Policy{})
		w.pasv()
		w.server(line[:i])
		w.expire(holdTime)
		w.server(line[i:])
		got := w.toClient()
		for name, parse := range pasvParsers {
			if a, err := parse(got); err == nil {
				t.Errorf("split at %d: %s reads %v out of %q", i, name, a, got)
			}
		}
		w.wantOpened(0)
	}
}

func TestHoldEndsWhereItNeedNotBe(t *testing.T) {
	for _, part := range []string{"RETR fi", "USER a", "\xff\xf4\xff", "PW", "PA", "NOOP\r", "\r"} {
		w := greeted(t, ends4(), Policy{})
		w.client(part)
		if len(w.held) > 0 {
			t.Errorf("%q is held", part)
		}
	}
	for _, part := range []string{"226 Tr", "22", "2", "230"} {
		w := greeted(t, ends4(), Policy{})
		w.server(part)
		if len(w.held) > 0 {
			t.Errorf("%q is held with no PASV due", part)
		}
	}
}

// slowly sends pieces with a pause after each, as a sender does that has no acknowledgement to wait for.
func (w *wire) slowly(dir Direction, pause time.Duration, pieces ...string) {
	w.t.Helper()
	for _, p := range pieces {
		w.send(dir, p)
		for left := pause; left > 0; left -= min(left, commitTime) {
			w.expire(min(left, commitTime))
		}
	}
}

// TestSlowPieces (B8): a line in pieces, with pauses of up to five seconds, works, in whatever pieces it comes. What is
// announced is what the whole line says.
func TestSlowPieces(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			check := func(pause time.Duration, pieces ...string) {
				t.Helper()
				w := m.start(t)
				w.slowly(m.dir, pause, pieces...)
				w.wantNoneHeld()
				got := w.sees(m.dir)
				sameLen(t, m.line, got)
				if len(w.opened) != 1 || w.opened[0].To.Port() != 50000 {
					t.Fatalf("%v, %q: opened %v, %q went on, %v", pause, pieces, w.opened, got, w.events)
				}
				m.check(t, got, w.opened[0])
			}
			for _, pause := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 5 * time.Second} {
				for i := 1; i < len(m.line); i++ {
					check(pause, m.line[:i], m.line[i:])
				}
				var bytes []string
				for i := range m.line {
					bytes = append(bytes, m.line[i:i+1])
				}
				check(pause, bytes...)
			}
		})
	}
}
