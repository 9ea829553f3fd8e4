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

// TestTLSWithoutSlice: AUTH is answered with 534 where policy says so, however it comes, and the session goes on.
func TestTLSWithoutSlice(t *testing.T) {
	for _, parts := range [][]string{{"AUTH TLS\r\n"}, {"AUTH", " TLS\r\n"}, {"AUTH TLS", "\r\n"}, {"AU", "TH SSL\r\n"}, {"auth tls", "\r", "\n"}} {
		w := greeted(t, ends4(), Policy{RefuseTLS: true})
		w.toClient()
		for _, p := range parts {
			w.client(p)
		}
		got := w.toBackend()
		if strings.Contains(strings.ToUpper(got), "AUTH") || len(got) != len(strings.Join(parts, "")) {
			t.Errorf("%q: the server gets %q", parts, got)
		}
		w.server("500 Unknown command.\r\n")
		eq(t, w.toClient(), "534 Unknown command.\r\n")
		w.wantRefused(ReasonTLS)
		w.pasv()
		w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
		w.wantOpened(1)
	}
	// with a slice it passes
	w := greeted(t, ends4(), Policy{RefuseTLS: true, Slice: Ports{50000, 50999}})
	w.client("AUTH TLS\r\n")
	eq(t, w.toBackend(), "AUTH TLS\r\n")
}

// TestPassiveRange: the port that takes the place of a busy one is in the range.
func TestPassiveRange(t *testing.T) {
	for busy := range 12 {
		w := greeted(t, ends4(), Policy{Range: Ports{50000, 50009}})
		for i := range busy {
			w.busy[50000+uint16(i)] = true
		}
		w.pasv()
		w.toClient()
		w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
		got := w.toClient()
		if busy >= 10 {
			w.wantRefused(ReasonNoPort)
			continue
		}
		readsPASV(t, got, w.opened[0])
		if p := w.opened[0].Port; p < 50000 || p > 50009 || w.busy[p] {
			t.Errorf("%d are busy: port %d", busy, p)
		}
	}
}

// TestAdvertiseTo: each client is told the address that is for it.
func TestAdvertiseTo(t *testing.T) {
	p := Policy{AdvertiseTo: []Advertise{
		{netip.MustParsePrefix("10.0.0.0/8"), vip4.Addr()}, {netip.MustParsePrefix("203.0.113.0/24"), netip.MustParseAddr("198.51.100.7")},
	}}
	for client, want := range map[string]string{"10.1.1.1:4000": "192.0.2.10", "203.0.113.9:4000": "198.51.100.7", "198.18.0.1:4000": "192.0.2.10"} {
		e := ends4()
		e.Client = netip.MustParseAddrPort(client)
		e.Seen = e.Client
		w := greeted(t, e, p)
		w.pasv()
		w.toClient()
		w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
		if a, err := curlPASV(w.toClient()); err != nil || a.Addr().String() != want {
			t.Errorf("%s is told %v (%v), want %s", client, a, err, want)
		}
	}
}
