package e2e

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// everySecond is the admin's firewall, which drops every second packet that opens a data connection.
func everySecond(t *testing.T, f *farm, verdict string) {
	t.Helper()
	const related = "ct state established,related accept"
	if !strings.Contains(lab.AdminFirewall, related) {
		t.Fatal(lab.AdminFirewall)
	}
	shell(t, f.Balancer, "nft delete table inet admin; nft -f - <<'E'\n"+
		strings.ReplaceAll(lab.AdminFirewall, related, "ct state related meta l4proto tcp "+verdict+" drop\n"+related)+"\nE")
}

// TestDroppedSYN: where the host drops the first packet of a data connection, the announcement stands for the one that TCP sends next.
func TestDroppedSYN(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	v.put(t, "file", content("file", fileSize))
	everySecond(t, f, "numgen inc mod 2 == 0")
	for _, family := range configs.Families {
		for _, mode := range client.Modes(family) {
			s := f.dial(t, v, netip.Addr{}, family)
			var got bytes.Buffer
			if _, err := s.Download(t.Context(), mode, "file", &got); err != nil || !bytes.Equal(got.Bytes(), content("file", fileSize)) {
				t.Errorf("IPv%d %s: %d bytes, %v", family, mode, got.Len(), err)
			}
			_ = s.Close()
		}
	}
}

// TestDroppedHere: where this host drops the data connections of clients, the session's line says that it was this host.
func TestDroppedHere(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	v.put(t, "file", content("file", fileSize))
	everySecond(t, f, "")
	for _, mode := range []client.Mode{client.PASV, client.PORT} {
		if err := f.fetch(t, v, configs.IPv4, mode, 3); err == nil {
			t.Fatalf("%s: a transfer comes through", mode)
		}
	}
	eventually(t, "both sessions have ended", func() bool { return strings.Count(f.helper.Stderr(), "session ended") == 2 })
	for line := range strings.Lines(f.helper.Stderr()) {
		if strings.Contains(line, "session ended") && (!strings.Contains(line, "was dropped here") || strings.Contains(line, "never c")) {
			t.Errorf("the line does not say who dropped it: %s", line)
		}
	}
}

// TestShortTimeout: a control connection that is silent during a transfer outlives conntrack's timeout for established connections.
func TestShortTimeout(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	v.put(t, "large", large())
	shell(t, f.Balancer, "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=4")
	s := f.dial(t, v, netip.Addr{}, configs.IPv4)
	w := &drip{wait: 400 * time.Millisecond, parts: 25}
	_, err := s.Download(t.Context(), client.PASV, "large", w)
	if err != nil || w.n != largeSize {
		t.Errorf("a transfer of ten seconds: %d bytes, %v", w.n, err)
	}
	if err := s.Noop(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// drip takes its time for the first parts.
type drip struct {
	wait  time.Duration
	parts int
	n     int
}

func (d *drip) Write(b []byte) (int, error) {
	if d.parts > 0 {
		d.parts--
		time.Sleep(d.wait)
	}
	d.n += len(b)
	return len(b), nil
}
