package ftp

import (
	"net/netip"
	"strings"
	"testing"
)

// dialect is a form that some software speaks, with where it is from.
type dialect struct {
	name, source string
	ends         Endpoints
	before       string // what the client says
	in           string
	dir          Direction
	want         string // "": in
	to           string // where the data connection is to end
}

var dialects = []dialect{
	{
		"zero-padded PORT", "clients of mainframes, and every client that prints with %03d; RFC 959 says decimal", ends4(), "",
		"PORT 203,000,113,009,195,080\r\n", FromClient, "PORT      203,0,113,9,195,80\r\n", "203.0.113.9:50000",
	},
	{
		"zero-padded PORT, one number", "", ends4(), "", "PORT 203,0,113,9,195,080\r\n", FromClient, "PORT  203,0,113,9,195,80\r\n", "203.0.113.9:50000",
	},
	{
		"zeros that change nothing", "", ends4(), "", "PORT 203,000,113,9,195,80\r\n", FromClient, "", "203.0.113.9:50000",
	},
	{
		"229 to PASV", "servers that are IPv6 at heart", ends4(), "PASV\r\n", "229 Entering Extended Passive Mode (|||50000|)\r\n", FromServer, "", "10.2.0.11:50000",
	},
	{
		"227 to EPSV", "servers that know EPSV as another name of PASV", ends4(), "EPSV\r\n", "227 Entering Passive Mode (10,2,0,11,195,80).\r\n",
		FromServer, "227 Entering Passive Mode (192,0,2,10,195,80)\r\n", "10.2.0.11:50000",
	},
	{
		"227 without an address", "servers that do not know theirs, as behind NAT; curl and lftp take the server's", ends4(), "PASV\r\n",
		"227 Entering Passive Mode (0,0,0,0,195,80)\r\n", FromServer, "227 Entering Passive Mo(192,0,2,10,195,80)\r\n", "10.2.0.11:50000",
	},
}

// TestDialects: what real clients and servers say works, at equal length.
func TestDialects(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			w := greeted(t, d.ends, Policy{})
			w.toClient()
			if d.before != "" {
				w.client(d.before)
				w.toBackend()
			}
			w.send(d.dir, d.in)
			got := w.sees(d.dir)
			sameLen(t, d.in, got)
			if d.want == "" {
				d.want = d.in
			}
			eq(t, got, d.want)
			w.wantOpened(1)
			if len(w.opened) == 1 && w.opened[0].To.String() != d.to {
				t.Errorf("it leads to %s, want %s", w.opened[0].To, d.to)
			}
			w.wantNoneHeld()
		})
	}
}

// TestUnaskedStays: a 227 that answers neither PASV nor EPSV announces nothing, whatever it names.
func TestUnaskedStays(t *testing.T) {
	for _, in := range []string{"227 Entering Passive Mode (10,2,0,11,195,80).\r\n", "227 x (0,0,0,0,195,80)\r\n"} {
		w := greeted(t, ends4(), Policy{})
		w.toClient()
		w.client("NOOP\r\n")
		w.server(in)
		if got := w.toClient(); strings.ContainsAny(got[4:], "0123456789") {
			t.Errorf("%q passes as %q", in, got)
		}
		w.wantOpened(0)
	}
}

// TestSpellings: the shortest form and those with all groups are read back as the same address.
func TestSpellings(t *testing.T) {
	for _, text := range []string{
		"fd00::1", "::", "::1", "2001:db8::", "2001:db8:0:1:1:1:1:1", "1:0:2:0:3:0:4:0", "fd00:0:0:1::8", "2001:db8:1234:5678:9abc:def0:1234:5678",
		"0:1:2:3:4:5:6:7", "1:2:3:4:5:6:7:0",
	} {
		a := netip.MustParseAddr(text)
		short := shortest(a)
		if len(short) > len(a.String()) || netip.MustParseAddr(short) != a {
			t.Errorf("%s: the shortest form is %s", text, short)
		}
		for n := len(short); n <= 39; n++ {
			got := widen(a, n)
			if b, err := netip.ParseAddr(got); err != nil || b != a || len(got) > n && got != a.String() {
				t.Errorf("%s in %d bytes: %q, %v", text, n, got, err)
			}
			if len(got) != n && got != a.String() {
				t.Errorf("%s in %d bytes: %q", text, n, got)
			}
		}
	}
	if got := shortest(netip.MustParseAddr("2001:db8:0:1:1:1:1:1")); got != "2001:db8::1:1:1:1:1" {
		t.Errorf("the shortest form is %s", got)
	}
}

// TestEPRTOneArmFits: our own address is written in whatever room the client's leaves, and the backend reads it.
func TestEPRTOneArmFits(t *testing.T) {
	client := netip.MustParseAddr("2001:db8:1:2:3:4:5:6789")
	for _, ours := range []string{"fd00::1", "2001:db8:1:2:3:4:5:1", "2001:db8:0:2:3:4:5:1", "2001:db8:1:2:3:44:5:6789"} {
		e := oneArm6()
		e.Client, e.Seen = netip.AddrPortFrom(client, 40000), netip.AddrPortFrom(netip.MustParseAddr(ours), 61000)
		for _, port := range []string{"50000", "5000"} {
			if port == "5000" && len(ours) > len(client.String()) {
				continue // a port of three digits is below 1024
			}
			in := "EPRT |2|" + client.String() + "|" + port + "|\r\n"
			w := greeted(t, e, Policy{})
			w.client(in)
			got := w.toBackend()
			sameLen(t, in, got)
			p, why := parseEprt([]byte(strings.TrimSpace(got[5:])))
			if len(w.opened) != 1 || why != ReasonNone || p.to.Addr() != e.Seen.Addr() || p.to.Port() != w.opened[0].Port {
				t.Errorf("%s for %q: %q, %v, opened %+v", ours, in, got, why, w.opened)
			}
		}
	}
}
