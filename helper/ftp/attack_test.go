package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestForged227WithoutPASV(t *testing.T) {
	for _, before := range []string{"", "LIST\r\n", "NOOP\r\n", "STAT\r\n"} {
		w := greeted(t, ends4(), Policy{})
		if before != "" {
			w.client(before)
		}
		w.toClient()
		line := "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"
		w.server(line)
		eq(t, w.toClient(), "227 Entering Passive Mode                   .\r\n")
		w.wantOpened(0)
		if _, ok := w.last(EventUnexpected); !ok {
			t.Error("no event")
		}
	}
	// One PASV is answered once.
	w := greeted(t, ends4(), Policy{})
	w.pasv()
	w.server("227 a (10,2,0,11,195,80)\r\n")
	w.server("227 a (10,2,0,11,195,81)\r\n")
	w.wantOpened(1)
	// A refused PASV is answered, too.
	w = greeted(t, ends4(), Policy{})
	w.pasv()
	w.server("500 no\r\n")
	w.server("227 a (10,2,0,11,195,81)\r\n")
	w.wantOpened(0)
}

func Test227InMultiLineBody(t *testing.T) {
	body := "211-Status\r\n227 Entering Passive Mode (10,2,0,11,12,234)\r\n227-x (10,2,0,11,12,234)\r\n229 x (|||3306|)\r\n 211 no end\r\n211x\r\n211 End\r\n"
	w := greeted(t, ends4(), Policy{})
	w.client("STAT\r\nPASV\r\n")
	w.toClient()
	w.server(body)
	eq(t, w.toClient(), body)
	w.wantOpened(0)
	w.server("227 Entering Passive Mode (10,2,0,11,195,80)\r\n")
	w.wantOpened(1)
}

func TestMultiLine227(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"address in the last line", "227-Here it comes\r\n227 Entering Passive Mode (10,2,0,11,195,80).\r\n"},
		{"address in the first line", "227-Entering Passive Mode (10,2,0,11,195,80).\r\n227 End\r\n"},
		{"address in both", "227-Entering Passive Mode (10,2,0,11,195,80).\r\n227 Entering Passive Mode (10,2,0,11,195,80).\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := greeted(t, ends4(), Policy{})
			w.pasv()
			w.server(tt.in)
			got := w.toClient()
			sameLen(t, tt.in, got)
			w.wantOpened(1)
			if strings.Contains(got, "10,2,0,11") {
				t.Errorf("%q names the backend", got)
			}
			if a, err := ftplibPASV(got); err != nil || a != netip.AddrPortFrom(vip4.Addr(), 50000) {
				t.Errorf("%q reads as %v %v", got, a, err)
			}
		})
	}
	t.Run("foreign", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{})
		w.pasv()
		in := "227-Entering Passive Mode (10,2,0,12,195,80).\r\n227 Entering Passive Mode (10,2,0,12,195,80).\r\n"
		w.server(in)
		got := w.toClient()
		sameLen(t, in, got)
		w.wantRefused(ReasonForeign)
		if !strings.HasPrefix(got, "425-") || !strings.Contains(got, "\n425 ") {
			t.Errorf("became %q", got)
		}
	})
}

func TestNATSlipstreaming(t *testing.T) {
	// A command aligned to a segment within other data.
	w := greeted(t, ends4(), Policy{})
	w.client("POST /" + strings.Repeat("A", 1454))
	cmd := "PORT 203,0,113,9,12,234\r\n"
	w.client(cmd)
	w.toBackend()
	w.wantOpened(0)
	// Nor a reply within a file name.
	w.client("PASV\r\n")
	w.toClient()
	w.server("150 Opening " + strings.Repeat("B", 600))
	w.server("227 x (10,2,0,11,12,234)\r\n")
	w.wantOpened(0)
	w.server("227 x (10,2,0,11,195,80)\r\n")
	w.wantOpened(1)
}

func TestSlipstreamingAtPickUp(t *testing.T) {
	// After a restart the first segment seen may be in the middle of a line.
	w := newWire(t, ends4(), Policy{})
	w.client("xxxxxxxxPORT 203,0,113,9,12,234\r\n")
	w.wantOpened(0)
	w.client("PORT 203,0,113,9,195,80\r\n")
	w.wantOpened(1)
}

func TestOverlapWithOtherBytes(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	seq := w.seq[FromClient]
	w.client("NOOP 203,0,113,9,195,80\r\n")
	w.toBackend()
	w.segment(FromClient, seq, "PORT 10,2,0,99,195,80  \r\n")
	eq(t, w.toBackend(), "")
	w.wantOpened(0)
	if _, ok := w.last(EventOverlap); !ok {
		t.Error("no event")
	}
	// Partly old with other bytes, partly new.
	w.segment(FromClient, w.seq[FromClient]-2, "XXPORT 203,0,113,9,195,80\r\n")
	eq(t, w.toBackend(), "")
	// Partly old, partly new, honest.
	w.segment(FromClient, w.seq[FromClient]-2, "\r\nPORT 203,0,113,9,195,80\r\n")
	eq(t, w.toBackend(), "\r\nPORT 203,0,113,9,195,80\r\n")
	w.wantOpened(1)
}

func TestExpectationFlood(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	for i := range 100 {
		if i >= 5 {
			w.err = fmt.Errorf("5 for this client: %w", ErrQuota)
		}
		w.pasv()
		w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
		got := w.toClient()
		if i >= 5 && !strings.HasPrefix(got, "425 ") {
			t.Fatalf("%d: %q", i, got)
		}
		w.client("PORT 203,0,113,9,195,80\r\n")
		if got := w.toBackend(); i >= 5 && got != "XXXXXXXXXXXXXXXXXXXXXXX"+"\r\n" {
			t.Fatalf("%d: %q", i, got)
		}
		w.server("200 x\r\n")
	}
	w.wantOpened(10)
	if e, _ := w.last(EventRefused); e.Reason != ReasonQuota {
		t.Errorf("reason %v", e.Reason)
	}
}

func Test1MBLine(t *testing.T) {
	for _, dir := range []Direction{FromClient, FromServer} {
		w := greeted(t, ends4(), Policy{})
		w.client("PASV\r\n")
		w.toClient()
		w.toBackend()
		w.send(dir, "150 ")
		for range 1 << 20 / 1024 {
			w.send(dir, strings.Repeat("x", 1024))
		}
		w.send(dir, "\r\n")
		if got := w.sees(dir); len(got) != 1<<20+6 || strings.Trim(got[4:], "x") != "\r\n" {
			t.Errorf("%v: %d bytes came out, changed", dir, len(got))
		}
		if n := cap(w.s.streams[dir].orig); n > 2*maxHistory {
			t.Errorf("%d bytes kept", n)
		}
		w.server("227 x (10,2,0,11,195,80)\r\n")
		w.wantOpened(1)
	}
}

func TestLongPORTLine(t *testing.T) {
	for _, line := range []string{
		"PORT 10,2,0,99,195,80" + strings.Repeat(" ", 600) + "\r\n",
		strings.Repeat("\xff\xf1", 400) + "PORT 10,2,0,99,195,80\r\n",
		strings.Repeat("\x00", 800) + "PORT 10,2,0,99,195,80\r\n",
		strings.Repeat("A", 800) + "\rPORT 10,2,0,99,195,80\r\n",
	} {
		for _, size := range []int{1, 7, 100, 511, 512, 513, 600, 5000} {
			w := greeted(t, ends4(), Policy{})
			for rest := line; rest != ""; {
				k := min(size, len(rest))
				w.client(rest[:k])
				rest = rest[k:]
			}
			if got := w.toBackend(); isLegal(strings.ReplaceAll(got, "\xff\xf1", "")) {
				t.Errorf("segments of %d: %q passed", size, line)
			}
			w.wantOpened(0)
			w.wantNoneHeld()
		}
	}
}

func TestIACBeforeVerbs(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	for _, cmd := range []string{
		"\xff\xf4\xff\xf2ABOR\r\n",
		"\xff\xf4\xff\xf2PORT 203,0,113,9,195,80\r\n",
		"\xff\xfb\x01PORT 203,0,113,9,195,80\r\n",
		"\xff\xf4\xff\xf2PASV\r\n",
	} {
		w.client(cmd)
		eq(t, w.toBackend(), cmd)
	}
	w.wantOpened(2)
	w.server("226 x\r\n200 x\r\n200 x\r\n227 x (10,2,0,11,195,80)\r\n")
	w.wantOpened(3)
	// The urgent part goes on at once.
	w.client("\xff\xf4\xff")
	w.wantNoneHeld()
	w.client("\xf2ABOR\r\n")
	w.wantNoneHeld()
}

func TestPASVPipelined10Deep(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client(strings.Repeat("PASV\r\nNOOP\r\n", 10))
	w.toClient()
	for i := range 10 {
		w.server(fmt.Sprintf("227 Entering Passive Mode (10,2,0,11,195,%d).\r\n", i))
		w.server("200 ok\r\n")
	}
	w.wantOpened(10)
	w.server("227 Entering Passive Mode (10,2,0,11,195,11).\r\n")
	w.wantOpened(10)
	// And all the replies in one segment.
	w = greeted(t, ends4(), Policy{})
	w.client(strings.Repeat("PASV\r\n", 10))
	w.toClient()
	in := strings.Repeat("227 Entering Passive Mode (10,2,0,11,195,80).\r\n", 10)
	w.server(in)
	got := w.toClient()
	sameLen(t, in, got)
	eq(t, got, strings.Repeat("227 Entering Passive Mode (192,0,2,10,195,80)\r\n", 10))
	w.wantOpened(10)
}

func TestEPSVAllThenPORT(t *testing.T) {
	for _, cmd := range []string{"PORT 203,0,113,9,195,80\r\n", "EPRT |1|203.0.113.9|50000|\r\n"} {
		w := greeted(t, ends4(), Policy{})
		w.client("EPSV ALL\r\n")
		w.server("200 ok\r\n")
		w.client(cmd)
		w.toBackend()
		w.wantRefused(ReasonEPSVAll)
		w.server("501 no\r\n")
		w.epsv()
		w.server("229 x (|||6446|)\r\n")
		w.wantOpened(1)
	}
	// The server did not agree.
	w := greeted(t, ends4(), Policy{})
	w.client("epsv all\r\n")
	w.server("500 no\r\n")
	w.client("PORT 203,0,113,9,195,80\r\n")
	w.wantOpened(1)
}
