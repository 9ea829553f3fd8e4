package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

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
	t.Run("reserved for this backend", func(t *testing.T) {
		p := Policy{Reserved: func(p uint16) bool { return p >= 40000 }, Slice: Ports{50000, 50999}}
		w, got := pasv(p, nil, usual)
		readsPASV(t, got, w.opened[0])
		if d := w.opened[0]; d.Port != 50000 {
			t.Errorf("opened %+v, want the port that the backend named", d)
		}
		// Another port of the slice would lead elsewhere.
		w, got = pasv(p, []uint16{50000}, usual)
		readsPASV(t, got, w.opened[0])
		if d := w.opened[0]; d.Port >= 40000 {
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
		eq(t, got, "425 Data connecti\r\n")
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
		w = greeted(t, oneArm4(), Policy{FXPAllow: true})
		w.client("PORT 198,51,100,1,195,80\r\n")
		w.wantRefused(ReasonThirdParty)
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

// TestNamesAddress: in a line whose start nobody knows, what may be the rest of an argument is told from what is not.
func TestNamesAddress(t *testing.T) {
	for line, want := range map[string]bool{
		"PASS [2001:db8:1::12]:60019": false, "PASS me@192.0.2.1": false, "RETR a.b-c": false, "CWD /a/1/b": false, "RETR 2026.11.26": false,
		"xx 10,2,1,12,8,174": true, "x|1|10.2.0.1|500|": true, "x2.0.1|5000|": true, "2001:db8::1|500|": true, "MDTM 20261126101010 f": false,
	} {
		if got := namesAddress([]byte(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
