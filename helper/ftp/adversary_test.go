package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The adversary suite: every known attack on an FTP gateway that a test
// without a wire can show.
func TestAdversary(t *testing.T) {
	refusedCommand := func(e Endpoints, p Policy, cmd string, why Reason) func(*testing.T) {
		return func(t *testing.T) {
			w := greeted(t, e, p)
			w.client(cmd)
			got := w.toBackend()
			sameLen(t, cmd, got)
			if got == cmd {
				t.Errorf("%q passed", cmd)
			}
			if isLegal(got) {
				t.Errorf("%q became %q, which a server may take", cmd, got)
			}
			w.wantRefused(why)
			w.wantNoneHeld()
			// The session goes on.
			w.server("500 no\r\n")
			w.epsv()
			w.server("229 ok (|||50000|)\r\n")
			w.wantOpened(1)
		}
	}
	refusedReply := func(e Endpoints, reply string, why Reason) func(*testing.T) {
		return func(t *testing.T) {
			w := greeted(t, e, Policy{})
			w.client("PASV\r\nEPSV\r\n")
			w.toBackend()
			w.toClient()
			w.server(reply)
			got := w.toClient()
			sameLen(t, reply, got)
			if !strings.HasPrefix(got, "425 ") {
				t.Errorf("%q became %q, want a negative reply", reply, got)
			}
			w.wantRefused(why)
		}
	}

	t.Run("bounce", refusedCommand(ends4(), Policy{}, "PORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("bounce to the backend", refusedCommand(ends4(), Policy{}, "PORT 10,2,0,11,195,80\r\n", ReasonThirdParty))
	t.Run("bounce to loopback", refusedCommand(ends4(), Policy{}, "EPRT |1|127.0.0.1|5000|\r\n", ReasonThirdParty))
	t.Run("bounce v6", refusedCommand(ends6(), Policy{}, "EPRT |2|2001:db8:1::a|5000|\r\n", ReasonThirdParty))
	t.Run("bounce one-arm", refusedCommand(oneArm4(), Policy{}, "PORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("low port", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,0,22\r\n", ReasonLowPort))
	t.Run("low port EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9|1023|\r\n", ReasonLowPort))
	t.Run("ports_min", refusedCommand(ends4(), Policy{PortsMin: 2000}, "EPRT |1|203.0.113.9|1999|\r\n", ReasonLowPort))
	t.Run("wrong family EPRT", refusedCommand(ends4(), Policy{}, "EPRT |2|2001:db8:1::9|5000|\r\n", ReasonFamily))
	t.Run("wrong family EPRT on v6", refusedCommand(ends6(), Policy{}, "EPRT |1|203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("PORT on v6", refusedCommand(ends6(), Policy{}, "PORT 203,0,113,9,195,80\r\n", ReasonFamily))
	t.Run("lying family EPRT", refusedCommand(ends4(), Policy{}, "EPRT |2|203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("IPv6 zone", refusedCommand(ends6(), Policy{}, "EPRT |2|2001:db8:1::9%eth0|5000|\r\n", ReasonMalformed))
	t.Run("IPv6 mapped", refusedCommand(ends4(), Policy{}, "EPRT |2|::ffff:203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("IPv6 mapped on v6", refusedCommand(ends6(), Policy{}, "EPRT |2|::ffff:203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("octal", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,011,195,80\r\n", ReasonThirdParty))
	t.Run("octal that is decimal", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,080\r\n", ReasonAmbiguous))
	t.Run("octal EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.011|5000|\r\n", ReasonMalformed))
	t.Run("octal EPRT port", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9|05000|\r\n", ReasonAmbiguous))
	t.Run("oversized number", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,265,195,80\r\n", ReasonMalformed))
	t.Run("oversized port", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,256,80\r\n", ReasonMalformed))
	t.Run("very oversized number", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,4294967305,195,80\r\n", ReasonMalformed))
	t.Run("oversized EPRT port", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9|70000|\r\n", ReasonMalformed))
	t.Run("hex", refusedCommand(ends4(), Policy{}, "PORT 0xcb,0,113,9,195,80\r\n", ReasonMalformed))
	t.Run("negative", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,-1,80\r\n", ReasonMalformed))
	t.Run("seven numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,80,1\r\n", ReasonMalformed))
	t.Run("five numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195\r\n", ReasonMalformed))
	t.Run("trailing text", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,80 10,2,0,99,0,22\r\n", ReasonMalformed))
	t.Run("0.0.0.0", refusedCommand(ends4(), Policy{}, "PORT 0,0,0,0,195,80\r\n", ReasonMalformed))
	t.Run("0.0.0.0 EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|0.0.0.0|5000|\r\n", ReasonMalformed))
	t.Run("port 0", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,0,0\r\n", ReasonMalformed))
	t.Run("mixed delimiters", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9!5000|\r\n", ReasonMalformed))
	t.Run("digit as delimiter", refusedCommand(ends4(), Policy{}, "EPRT 01020300501139050000\r\n", ReasonMalformed))
	t.Run("bare CR", refusedCommand(ends4(), Policy{}, "NOOP\rPORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("bare CR after the verb", refusedCommand(ends4(), Policy{}, "PORT\r10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("bare CR in the numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,\r80\r\n", ReasonObscured))
	t.Run("NUL bytes", refusedCommand(ends4(), Policy{}, "PO\x00RT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("NUL before the verb", refusedCommand(ends4(), Policy{}, "\x00PORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("NUL in the numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9\x00,195,80\r\n", ReasonObscured))
	t.Run("blank before the verb", refusedCommand(ends4(), Policy{}, " PORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("tab after the verb", refusedCommand(ends4(), Policy{}, "PORT\t10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC within the verb", refusedCommand(ends4(), Policy{}, "PO\xff\xf1RT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC eats a letter", refusedCommand(ends4(), Policy{}, "\xffPORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC option eats a letter", refusedCommand(ends4(), Policy{}, "\xff\xfdXPORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("LPRT", refusedCommand(ends4(), Policy{}, "LPRT 4,4,203,0,113,9,2,195,80\r\n", ReasonLongAddr))
	t.Run("LPSV", refusedCommand(ends4(), Policy{}, "LPSV\r\n", ReasonLongAddr))

	t.Run("227 foreign", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,12,195,80).\r\n", ReasonForeign))
	t.Run("227 loopback", refusedReply(ends4(), "227 Entering Passive Mode (127,0,0,1,195,80).\r\n", ReasonForeign))
	t.Run("227 low port", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,3,255).\r\n", ReasonLowPort))
	t.Run("227 port 0", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,0,0).\r\n", ReasonMalformed))
	t.Run("227 0.0.0.0", refusedReply(ends4(), "227 Entering Passive Mode (0,0,0,0,195,80).\r\n", ReasonMalformed))
	t.Run("227 oversized", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,267,195,80).\r\n", ReasonMalformed))
	t.Run("227 oversized port", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,256,80).\r\n", ReasonMalformed))
	t.Run("227 long number", refusedReply(ends4(), "227 Entering Passive Mode (0010,2,0,11,195,80).\r\n", ReasonMalformed))
	t.Run("227 seven numbers", refusedReply(ends4(), "227 Entering Passive Mode (1,10,2,0,11,195,80).\r\n", ReasonMalformed))
	t.Run("227 on v6", refusedReply(ends6(), "227 Entering Passive Mode (10,2,0,11,195,80).\r\n", ReasonFamily))
	t.Run("229 low port", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||80|)\r\n", ReasonLowPort))
	t.Run("229 port 0", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||0|)\r\n", ReasonMalformed))
	t.Run("229 oversized", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||65536|)\r\n", ReasonMalformed))
	t.Run("229 mixed delimiters", refusedReply(ends4(), "229 Entering Extended Passive Mode (||!6446|)\r\n", ReasonMalformed))
	t.Run("229 with an address", refusedReply(ends4(), "229 Entering Extended Passive Mode (|1|10.2.0.12|6446|)\r\n", ReasonMalformed))
}

// isLegal reports whether some server may take a line for PORT or EPRT.
func isLegal(line string) bool {
	for _, piece := range strings.FieldsFunc(line, func(r rune) bool { return r == '\r' || r == '\n' }) {
		p := strings.ToUpper(strings.TrimLeft(piece, " \x00"))
		if strings.HasPrefix(p, "PORT") && strings.Count(p, ",") >= 5 || strings.HasPrefix(p, "EPRT") && strings.Count(p, p[5:6]) == 4 {
			return true
		}
		if strings.HasPrefix(p, "LPSV") || strings.HasPrefix(p, "LPRT") && strings.Contains(p, ",") {
			return true
		}
	}
	return false
}

func TestForged227WithoutPASV(t *testing.T) {
	for _, before := range []string{"", "EPSV\r\n", "NOOP\r\n", "STAT\r\n"} {
		w := greeted(t, ends4(), Policy{})
		if before != "" {
			w.client(before)
		}
		w.toClient()
		line := "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"
		w.server(line)
		eq(t, w.toClient(), line)
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
		if got := w.toBackend(); i >= 5 && got != "PORT refusedxxxxxxxxxxx"+"\r\n" {
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

func TestPASVPipelined(t *testing.T) {
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

func TestTLSThenGarbage(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	seq := w.seq[FromServer]
	w.server("234 go on\r\n")
	if !w.s.Opaque() || !w.s.Stats().TLS {
		t.Fatal("not opaque")
	}
	w.toClient()
	w.segment(FromServer, seq, "234 go on\r\n") // once more
	if !w.s.Opaque() {
		t.Fatal("readable through a retransmission")
	}
	w.client("\x16\x03\x01\x02\x00\x01\x00")
	w.server("\x16\x03\x03\x00\x7a\x02\x00")
	for _, g := range []string{"\x00\x01PORT 10,2,0,99,195,80\r\n", "\r\n227 x (10,2,0,11,195,80)\r\n", strings.Repeat("\xa5\n", 700)} {
		w.client(g)
		w.server(g)
	}
	// Segments that the queue never shows leave gaps.
	w.seq[FromClient] += 1000
	w.seq[FromServer] += 3000
	w.toBackend()
	w.client("\x8a\x00garbage")
	eq(t, w.toBackend(), "\x8a\x00garbage")
	w.wantOpened(0)
	// CCC was said inside: in the clear from here.
	w.client("PASV\r\n")
	if w.s.Opaque() {
		t.Fatal("still opaque")
	}
	w.toClient()
	w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
	eq(t, w.toClient(), "227 Entering Passive Mode (192,0,2,10,195,80)\r\n")
	w.wantOpened(1)
}

func TestTLSFailed(t *testing.T) {
	// A server that goes on in the clear after a failed handshake.
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	w.server("234 go on\r\n")
	w.client("\x16\x03\x01nonsense")
	w.server("550 TLS handshake failed\r\n")
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonThirdParty)
}

func TestAUTHRefused(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	w.server("502 no\r\n")
	w.server("234 what?\r\n")
	if w.s.Opaque() {
		t.Fatal("opaque")
	}
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonThirdParty)
}

func TestImplicitTLS(t *testing.T) {
	w := newWire(t, ends4(), Policy{})
	w.client("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	w.server("\x16\x03\x03\x00\x7a\x02\x00")
	if !w.s.Opaque() || !w.s.Stats().TLS {
		t.Error("not opaque")
	}
	// But a server that greets in the clear gives it away.
	w = newWire(t, ends4(), Policy{})
	w.client("\x16\x03\x01\r\n")
	w.server("220 ready\r\n")
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonThirdParty)
}

func TestRetransmissionAfterRewrite(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.pasv()
	seq := w.seq[FromServer]
	in := "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"
	w.server(in)
	first := w.toClient()
	for range 3 {
		w.segment(FromServer, seq, in)
		eq(t, w.toClient(), first)
	}
	w.segment(FromServer, seq+10, in[10:30])
	eq(t, w.toClient(), first[10:30])
	w.segment(FromServer, seq+30, in[30:]+"226 x\r\n")
	eq(t, w.toClient(), first[30:]+"226 x\r\n")
	w.wantOpened(1)

	w = greeted(t, oneArm4(), Policy{})
	seq = w.seq[FromClient]
	cmd := "PORT 203,0,113,9,195,80\r\n"
	w.client(cmd)
	first = w.toBackend()
	w.segment(FromClient, seq, cmd)
	eq(t, w.toBackend(), first)
	w.wantOpened(1)
	// A new helper makes the same choice.
	w2 := newWire(t, oneArm4(), Policy{})
	w2.client(cmd)
	eq(t, w2.toBackend(), first)
}

func TestRSTMidLine(t *testing.T) {
	// The connection is gone with a line half held: the daemon forgets the
	// session; nothing was opened, and what was held can still be let go.
	w := greeted(t, ends4(), Policy{})
	w.client("PORT 203,0,113,9,19")
	if len(w.held) != 1 {
		t.Fatal("not held")
	}
	w.wantOpened(0)
	w.expire(holdTime)
	w.wantNoneHeld()
	w.wantOpened(0)
}

func TestKeepaliveWithGarbage(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("NOOP\r\n")
	w.toBackend()
	w.segment(FromClient, w.seq[FromClient]-1, "\x00")
	eq(t, w.toBackend(), "\n")
}

func TestEarlySegments(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("NOOP\r\n")
	w.toBackend()
	first, second := "PORT 203,0,113,9,", "195,80\r\nNOOP\r\n"
	seq := w.seq[FromClient]
	w.segment(FromClient, seq+uint32(len(first)), second)
	eq(t, w.toBackend(), "")
	w.segment(FromClient, seq, first)
	w.segment(FromClient, seq+uint32(len(first)), second)
	eq(t, w.toBackend(), first+second)
	w.wantOpened(1)
}

func TestGapThatNeverFills(t *testing.T) {
	// Packets that never came this way must not stall the session for ever.
	w := greeted(t, ends4(), Policy{})
	w.client("NOOP\r\n")
	w.toBackend()
	w.seq[FromClient] += 100
	seq := w.seq[FromClient]
	w.client("PASV\r\n")
	for _, d := range []time.Duration{20, 200, 400} {
		w.now = w.now.Add(d * time.Millisecond)
		w.segment(FromClient, seq, "PASV\r\n")
	}
	eq(t, w.toBackend(), "PASV\r\n")
	w.toClient()
	w.server("227 x (10,2,0,11,195,80)\r\n")
	w.wantOpened(1)
	// What was missing is not let in later.
	w.toBackend()
	w.segment(FromClient, seq-25, "PORT 203,0,113,9,195,80\r\n")
	eq(t, w.toBackend(), "")
	w.wantOpened(1)
}

func TestHoleBeforeFirstCommand(t *testing.T) {
	// The verb's start, then less before it, with a hole: so that the rest of
	// the command could be mistaken for the start of a stream.
	w := greeted(t, ends4(), Policy{})
	seq := w.seq[FromClient]
	w.segment(FromClient, seq+10, "POR")
	w.expire(holdTime)
	w.segment(FromClient, seq, "NOOP\r\n")
	w.segment(FromClient, seq+6, "\r\n\r\n")
	for range 4 {
		w.now = w.now.Add(holdTime)
		w.segment(FromClient, seq+13, "T 10,2,0,99,195,80\r\n")
	}
	if got := w.toBackend(); strings.Contains(got, "T 10,2") {
		t.Errorf("%q passed", got)
	}
	w.wantOpened(0)
}
