package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestQuotas announces more data connections than the configuration allows, to one client and to all. What is refused
// gets an answer, and a place is free again when a data connection has opened or its session has ended.
func TestQuotas(t *testing.T) {
	f := newFarm(t, arrangement{clients: 3, helper: "max_data_per_client: 2\nmax_data: 3\n"})
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	family := configs.IPv4
	session := func(c int) *client.Session { return f.dial(t, v, f.ClientAddrs[c].Of(family), family) }
	announced := func(s *client.Session) error { _, err := s.Passive(client.EPSV); return err }
	refused := func(name string, s *client.Session) {
		t.Helper()
		if err := announced(s); err == nil {
			t.Errorf("%s: it is not refused", name)
		} else if want := "425"; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the client gets %v, want a reply %s", name, err, want)
		}
		must(t, s.Noop())
	}

	first, second, third := session(0), session(0), session(0)
	must(t, announced(first))
	must(t, announced(second))
	must(t, announced(second)) // a session has one place, however often it asks
	refused("a third session of the client", third)
	other, another := session(1), session(2)
	must(t, announced(other))
	refused("more than all clients together may have", another)
	figures := f.figures(t)
	if figures.Awaited != 3 || figures.Refusals["quota"] != 2 || figures.Expectations["quota"] != 2 {
		t.Errorf("%d awaited, %d refused, %d outcomes, want 3, 2 and 2",
			figures.Awaited, figures.Refusals["quota"], figures.Expectations["quota"])
	}
	f.logged(t, "reason=quota")

	// The second session's data connection opens: its place is free.
	var got bytes.Buffer
	_, err := second.Download(t.Context(), client.EPSV, "file", &got)
	must(t, err)
	if !bytes.Equal(got.Bytes(), content("file", smallSize)) {
		t.Errorf("%d bytes, want %d, or others", got.Len(), smallSize)
	}
	eventually(t, "the third session gets a place", func() bool { return announced(third) == nil })

	// And when a session ends that waited in vain.
	must(t, other.Close())
	eventually(t, "the other client's session gets a place", func() bool { return announced(another) == nil })
}

// TestQuotaOfActiveMode refuses PORT, whose data connection is announced by the client.
func TestQuotaOfActiveMode(t *testing.T) {
	f := newFarm(t, arrangement{helper: "max_data_per_client: 1\n"})
	v := f.vips[0]
	session := f.playServers(t, v)
	one, two := session(netip.Addr{}, configs.IPv4), session(netip.Addr{}, configs.IPv4)
	port := func(n int) string { return fmt.Sprintf("PORT 198,51,100,11,200,%d\r\n", n) }
	one.toServer(t, port(10), port(10))
	two.toServer(t, port(20), "XXXXXXXXXXXXXXXXXXXXXXXXX\r\n")
}
