package ftp

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestWiden: an IPv6 address can be written at every length from its shortest text to all 39 characters.
func TestWiden(t *testing.T) {
	for _, tt := range []struct {
		addr, short string
	}{
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"fd00::1", "fd00::1"},
		{"2001:db8:1::9", "2001:db8:1::9"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8::1:1:1:1:1"}, // "::" for a single group
		{"0:1:2:3:4:5:6:7", "::1:2:3:4:5:6:7"},
		{"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7::"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"},
		{"fe80::a00:27ff:fe4e:66a1", "fe80::a00:27ff:fe4e:66a1"},
	} {
		a := netip.MustParseAddr(tt.addr)
		eq(t, shortest(a), tt.short)
		for n := len(tt.short); n <= 39; n++ {
			text := stretch(a, n)
			if b, err := netip.ParseAddr(text); err != nil || b != a || len(text) != n {
				t.Errorf("%s in %d bytes is %q (%v)", a, n, text, err)
			}
		}
	}
}

// TestEprtFits: in one-arm mode an EPRT over IPv6 takes this host's address wherever there is a legal text of the length.
func TestEprtFits(t *testing.T) {
	for _, tt := range []struct {
		client, text, seen string
		port               uint16
		fits               bool
	}{
		{"2001:db8:1::9", "", "fd00::1", 50000, true},
		{"2001:db8:1::9", "", "fd00::1", 1024, true},
		{"2001:db8:1::9", "", "2001:db8:1::1", 50000, true},
		{"2001:db8:1::9", "", "2001:db8:1::19", 50000, true},                  // a port of four digits makes room
		{"2001:db8:1:2:3:4::9", "", "2001:db8:0:1:1:1:1:1", 50000, true},      // "::" for a single group
		{"2001:db8:1:2:3:4::9", "", "2001:db8:0:1:1:1:1:11", 50000, true},     // both
		{"2001:db8:1::9", "2001:0db8:1:0:0:0:0:9", "fd00::1", 50000, true},    // not as String writes it
		{"2001:db8:1::9", "2001:DB8:1::9", "fd00:1:2:3:4::1", 50000, false},   // longer than all of it
		{"2001:db8:1::9", "", "2001:db8:1::119", 50000, false},                // one byte too long for every port
		{"2001:db8:1:2:a00:27ff:fe4e:66a1", "", "fd00:1:2:3::1", 50000, true}, // an address as most clients have it
	} {
		text := tt.text
		if text == "" {
			text = tt.client
		}
		e := oneArm6()
		e.Client = netip.AddrPortFrom(netip.MustParseAddr(tt.client), 40000)
		e.Seen = netip.AddrPortFrom(netip.MustParseAddr(tt.seen), 61000)
		w := greeted(t, e, Policy{})
		in := fmt.Sprintf("EPRT |2|%s|%d|\r\n", text, tt.port)
		w.client(in)
		got := w.toBackend()
		sameLen(t, in, got)
		if !tt.fits {
			wantNoFit(w, CmdEPRT, netip.AddrPortFrom(e.Client.Addr(), tt.port), e.Seen.Addr())
			continue
		}
		w.wantOpened(1)
		arg := got[len("EPRT ") : len(got)-2]
		if a, want := splitEprt(arg), addrPort(e.Seen, w.opened[0].Port); a != want {
			t.Errorf("%q became %q: names %v, want %v", in, got, a, want)
		}
	}
}

// wantNoFit: the session says that an address of ours does not fit, and which ones.
func wantNoFit(w *wire, cmd Command, named netip.AddrPort, ours netip.Addr) {
	w.t.Helper()
	w.wantOpened(0)
	e, ok := w.last(EventNoFit)
	if !ok || e.Command != cmd || e.Named != named || e.Ours != ours || e.Reason != ReasonNoFit {
		w.t.Errorf("no fit: %v, %+v", ok, e)
	}
	if n := w.s.Stats().NoFit; n != 1 {
		w.t.Errorf("counted %d", n)
	}
	if e, ok := w.last(EventRefused); ok {
		w.t.Errorf("refused as well: %+v", e)
	}
}

// TestReplyDoesNotFit: where the address of a 227 is longer than the server's and there is no text to give up, the client
// gets a 425 at once, whatever the digits of the port, and in a reply of two lines as well.
func TestReplyDoesNotFit(t *testing.T) {
	e := ends4()
	e.VIP = netip.MustParseAddrPort("203.113.100.200:21")
	e.Backend = netip.MustParseAddrPort("10.2.0.1:21")
	for _, form := range []string{"227 %s\r\n", "227 (%s)\r\n", "227 =%s\r\n"} {
		for port := 1024; port < 1<<16; port += 251 {
			w := greeted(t, e, Policy{})
			w.pasv()
			in := fmt.Sprintf(form, fmt.Sprintf("10,2,0,1,%d,%d", port>>8, port&255))
			w.server(in)
			got := w.toClient()
			sameLen(t, in, got)
			if len(w.opened) > 0 { // a shorter port made room
				readsPASV(t, got, w.opened[0])
				continue
			}
			if got[:4] != "425 " {
				t.Fatalf("%q became %q", in, got)
			}
			wantNoFit(w, CmdPASV, netip.AddrPortFrom(e.Backend.Addr(), uint16(port)), e.VIP.Addr())
		}
	}
	// The first line has room, the last has not.
	w := greeted(t, e, Policy{})
	w.pasv()
	in := "227-Entering Passive Mode (10,2,0,1,195,80)\r\n227 10,2,0,1,195,80\r\n"
	w.server(in)
	got := w.toClient()
	sameLen(t, in, got)
	w.wantOpened(1)
	if a, err := curlPASV(got[len("227-Entering Passive Mode (10,2,0,1,195,80)\r\n"):]); err == nil {
		t.Errorf("%q became %q: names %v", in, got, a)
	}
	if n := w.s.Stats().NoFit; n != 1 {
		t.Errorf("counted %d", n)
	}
}
