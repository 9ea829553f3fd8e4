package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
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
	content, _ := splitEnd([]byte(line))
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
	for _, part := range []string{"226 Tr", "227 Entering", "2", "229"} {
		w := greeted(t, ends4(), Policy{})
		w.server(part)
		if len(w.held) > 0 {
			t.Errorf("%q is held with no PASV due", part)
		}
	}
}

func TestPickUp(t *testing.T) {
	t.Run("command and reply", func(t *testing.T) {
		for _, m := range modes {
			w := newWire(t, m.ends, Policy{})
			if m.setup != "" {
				w.client(m.setup)
				eq(t, w.toBackend(), m.setup)
			}
			w.send(m.dir, m.line)
			w.wantOpened(1)
			m.check(t, w.sees(m.dir), w.opened[0])
		}
	})
	t.Run("reply only", func(t *testing.T) {
		for _, m := range modes[:3] {
			w := newWire(t, m.ends, Policy{})
			w.send(m.dir, m.line)
			w.wantOpened(1)
			m.check(t, w.sees(m.dir), w.opened[0])
			w.send(m.dir, m.line)
			w.wantOpened(1) // once
		}
	})
	t.Run("reply only, after other replies", func(t *testing.T) {
		w := newWire(t, ends4(), Policy{})
		w.server("200 ok\r\n")
		w.server(modes[0].line)
		w.wantOpened(1)
	})
	t.Run("reply too late", func(t *testing.T) {
		w := newWire(t, ends4(), Policy{})
		w.client("NOOP\r\n")
		w.now = w.now.Add(creditTime)
		w.server(modes[0].line)
		w.wantOpened(0)
	})
	t.Run("later segment first", func(t *testing.T) {
		w := newWire(t, ends4(), Policy{})
		a, b := "TYPE I\r\n", "PASV\r\n"
		seq := w.seq[FromClient]
		w.segment(FromClient, seq+uint32(len(a)), b)
		w.segment(FromClient, seq, a)
		w.segment(FromClient, seq+uint32(len(a)), b)
		eq(t, w.toBackend(), b+a+b)
		w.toClient()
		w.server("200 ok\r\n")
		w.server(modes[0].line)
		w.wantOpened(1)
	})
	t.Run("in the middle of a line", func(t *testing.T) {
		w := newWire(t, ends4(), Policy{})
		w.client("me.txt\r\n")
		w.client("PASV\r\n")
		w.toClient()
		w.server("e transfer.\r\n")
		w.server("226 Transfer complete.\r\n227 x (10,2,0,11,195,80)\r\n")
		w.wantOpened(1)
	})
}

func TestPolicy(t *testing.T) {
	pasv := func(p Policy, busy []uint16, in string) (*wire, string) {
		w := greeted(t, ends4(), p)
		for _, b := range busy {
			w.busy[b] = true
		}
		w.pasv()
		w.server(in)
		got := w.toClient()
		sameLen(t, in, got)
		return w, got
	}
	usual := modes[0].line
	t.Run("advertise", func(t *testing.T) {
		w, got := pasv(Policy{Advertise: netip.MustParseAddr("198.51.100.7")}, nil, usual)
		w.wantOpened(1)
		if a, err := curlPASV(got); err != nil || a != netip.MustParseAddrPort("198.51.100.7:50000") {
			t.Errorf("%q", got)
		}
		if w.opened[0].At != netip.MustParseAddrPort("192.0.2.10:50000") {
			t.Errorf("opened %+v", w.opened[0])
		}
	})
	t.Run("alias", func(t *testing.T) {
		w, got := pasv(Policy{Aliases: []netip.Addr{netip.MustParseAddr("172.16.5.5")}}, nil,
			"227 Entering Passive Mode (172,16,5,5,195,80).\r\n")
		w.wantOpened(1)
		readsPASV(t, got, w.opened[0])
		if w.opened[0].To != netip.MustParseAddrPort("10.2.0.11:50000") {
			t.Errorf("opened %+v", w.opened[0])
		}
	})
	t.Run("busy", func(t *testing.T) {
		w, got := pasv(Policy{}, []uint16{50000}, usual)
		w.wantOpened(1)
		readsPASV(t, got, w.opened[0])
		if d := w.opened[0]; d.Port == 50000 || d.To.Port() != 50000 {
			t.Errorf("opened %+v", d)
		}
	})
	t.Run("reserved", func(t *testing.T) {
		w, got := pasv(Policy{Reserved: func(p uint16) bool { return p >= 40000 }}, nil, usual)
		w.wantOpened(1)
		readsPASV(t, got, w.opened[0])
		if d := w.opened[0]; d.Port >= 40000 || d.Port < 1024 {
			t.Errorf("opened %+v", d)
		}
	})
	t.Run("all busy", func(t *testing.T) {
		w, got := pasv(Policy{Reserved: func(uint16) bool { return true }}, nil, usual)
		w.wantRefused(ReasonNoPort)
		if !strings.HasPrefix(got, "425 ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("shorter port", func(t *testing.T) {
		in := "227 10,2,0,1,4,51\r\n"
		e := ends4()
		e.Backend = netip.MustParseAddrPort("10.2.0.1:21")
		w := greeted(t, e, Policy{})
		w.pasv()
		w.server(in)
		got := w.toClient()
		sameLen(t, in, got)
		// "192,0,2,10," leaves two bytes: nothing fits.
		eq(t, got, in)
		w.wantOpened(0)
		if _, ok := w.last(EventNoFit); !ok || w.s.Stats().NoFit != 1 {
			t.Error("no event")
		}
		in = "227 10,2,0,1,195,80\r\n"
		w.pasv()
		w.server(in)
		got = w.toClient()
		sameLen(t, in, got)
		w.wantOpened(1)
		readsPASV(t, got, w.opened[0])
	})
	t.Run("fxp", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{FXPAllow: true})
		w.client("PORT 198,51,100,1,195,80\r\n")
		eq(t, w.toBackend(), "PORT 198,51,100,1,195,80\r\n")
		w.wantOpened(1)
		w.client("PORT 198,51,100,1,0,80\r\n")
		w.wantOpened(1)
	})
	t.Run("any source", func(t *testing.T) {
		w, _ := pasv(Policy{DataSourceAny: true}, nil, usual)
		w.wantOpened(1)
		if !w.opened[0].AnySource {
			t.Error("not any")
		}
	})
	t.Run("open fails", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{})
		w.err = fmt.Errorf("no carrier")
		w.pasv()
		w.server(usual)
		w.wantRefused(ReasonOpen)
		cmd := "PORT 203,0,113,9,195,80\r\n"
		w.client(cmd)
		eq(t, w.toBackend(), cmd)
		if e, ok := w.last(EventOpenFailed); !ok || e.Err == nil {
			t.Error("no event")
		}
	})
	t.Run("pass", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{})
		for _, c := range []string{"HOST a.example\r\n", "SPSV\r\n", "PRET RETR x\r\n", "MODE Z\r\n", "\r\n", "PORTUGAL\r\n", "PORT\r\n", "SITE PORT 1\r\n"} {
			w.client(c)
			eq(t, w.toBackend(), c)
		}
		w.client("CPSV\r\n")
		w.server("220 \r\n200 \r\n200 \r\n200 \r\n")
		w.server(usual)
		w.wantOpened(1)
	})
	t.Run("stats", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{})
		w.client("USER J\xc3\xbcrgen\x1b[0m\r\n")
		w.client("PASV\r\n")
		w.server("331 x\r\n" + usual)
		st := w.s.Stats()
		if st.User != "Jürgen?[0m" || st.Opens(CmdPASV) != 1 || st.Commands != 2 || st.Replies != 3 {
			t.Errorf("%+v", st)
		}
	})
}
