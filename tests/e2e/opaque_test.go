package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpvip/configs"
)

// record is a TLS record with application data, as it begins on the wire (RFC 8446, section 5.1).
func record(text string) string { return "\x17\x03\x03\x00" + string(rune(len(text))) + text }

// TestTLSPassesByTheQueue has a session go opaque, exchange TLS records that the helper does not see, and become
// readable again.
func TestTLSPassesByTheQueue(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServers(t, f.vips[0])
	tracker := f.tracker(t)
	for _, family := range configs.Families {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			e := session(netip.Addr{}, family)
			e.toServer(t, "AUTH TLS\r\n", "AUTH TLS\r\n")
			e.toClient(t, "234 go ahead\r\n", "234 go ahead\r\n")
			eventually(t, "the session is labelled, and its records pass by the queue", func() bool {
				before := f.figures(t).Packets
				e.toServer(t, record("hello"), record("hello"))
				e.toClient(t, record("world"), record("world"))
				return f.figures(t).Packets == before
			})
			if entry, err := tracker.Lookup(f.vips[0].at(family), endpoint(e.client.LocalAddr())); err != nil {
				t.Error(err)
			} else if !entry.Opaque || !entry.Carrier || entry.Midstream {
				t.Errorf("a helper that starts now would know %+v", entry)
			}
			before := f.figures(t).Packets
			for range 50 {
				e.toServer(t, record("227 (10,2,0,11,195,80)"), record("227 (10,2,0,11,195,80)"))
				e.toClient(t, record("PORT 1,2,3,4,5,6"), record("PORT 1,2,3,4,5,6"))
			}
			if got := f.figures(t).Packets; got != before {
				t.Errorf("the helper read %d of 100 TLS records", got-before)
			}

			// What is no application data is read: the engine sees the end of TLS coming.
			for _, other := range []string{"\x15\x03\x03\x00\x02\x01\x00", "\x16\x03\x03\x00\x01x", "\x14\x03\x03\x00\x01\x01", "\x17\r\n"} {
				before := f.figures(t).Packets
				e.toServer(t, other, other)
				eventually(t, fmt.Sprintf("%q is read", other), func() bool { return f.figures(t).Packets > before })
			}

			// CCC (RFC 4217, section 12.3) is encrypted; what follows it is not.
			e.toServer(t, record("CCC"), record("CCC"))
			e.toClient(t, record("200"), record("200"))
			e.toServer(t, "EPSV\r\n", "EPSV\r\n")
			e.toClient(t, "229 Entering Extended Passive Mode (|||50000|)\r\n", "229 Entering Extended Passive Mode (|||50000|)\r\n")
			// The label is gone: what looks like a record is read again.
			before = f.figures(t).Packets
			e.toServer(t, "\x17\x03\r\n", "xx\r\n")
			eventually(t, "the helper has counted it", func() bool { return f.figures(t).Packets > before })
			if n := f.figures(t).Expectations["created"]; n == 0 {
				t.Error("the EPSV after CCC made no expectation")
			}
		})
	}
	for _, want := range []string{"msg=opaque", "msg=readable"} {
		if n := strings.Count(f.helper.Stderr(), want); n != 2 {
			t.Errorf("the log has %q %d times, want 2", want, n)
		}
	}
}

// TestImplicitTLSPassesByTheQueue has a session whose first byte is a TLS record's: the client speaks first.
func TestImplicitTLSPassesByTheQueue(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	session := f.playServersSilently(t, v)
	e := session(netip.Addr{}, configs.IPv4)
	const hello = "\x16\x03\x01\x00\x05hello"
	e.toServer(t, hello, hello)
	eventually(t, "records pass by the queue", func() bool {
		before := f.figures(t).Packets
		e.toServer(t, record("hello"), record("hello"))
		e.toClient(t, record("world"), record("world"))
		return f.figures(t).Packets == before
	})
	if !strings.Contains(f.do(t, "sessions", "-o", "json").Stdout, `"tls": true`) {
		t.Error("`ftpvip sessions` does not show that the session is encrypted")
	}
}
