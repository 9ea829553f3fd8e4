package ftp

import (
	"net/netip"
	"strings"
	"testing"
)

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
