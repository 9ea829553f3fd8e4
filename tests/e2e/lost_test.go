package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/live"
	"ftpvip/tests/lab/client"
)

// lose has the balancer's conntrack forget a connection of a client's, as `conntrack -D` does.
func (f *farm) lose(t *testing.T, from, vip netip.AddrPort) {
	t.Helper()
	must(t, f.Balancer.Do(func() error {
		conn, err := conntrack.Dial(nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		// The reply's addresses make ti-mo/conntrack choose the family; the kernel does not look at them.
		return conn.Delete(conntrack.NewFlow(unix.IPPROTO_TCP, 0, from.Addr(), vip.Addr(), from.Port(), vip.Port(), 0, 0))
	}))
}

// TestEntryDeleted has conntrack forget a control connection in mid-session. The client speaks first: its packet is read
// before the server gets it, and the data connection of the PASV in it works.
func TestEntryDeleted(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat})
			v := f.vips[0]
			v.put(t, "file", content("file", smallSize))
			for _, family := range configs.Families {
				for _, mode := range []client.Mode{client.PASV, client.EPSV} {
					if mode == client.PASV && family == configs.IPv6 {
						continue
					}
					t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) {
						s := f.dial(t, v, netip.Addr{}, family)
						must(t, s.Noop())
						f.lose(t, s.Local(), v.at(family))
						eventually(t, "the helper has heard of it", func() bool {
							return !slices.ContainsFunc(f.currentSessions(t), func(o live.Session) bool { return o.Client == s.Local() })
						})
						var got bytes.Buffer
						_, err := s.Download(t.Context(), mode, "file", &got)
						must(t, err)
						if !bytes.Equal(got.Bytes(), content("file", smallSize)) {
							t.Error("the file differs")
						}
					})
				}
			}
			figures := f.figures(t)
			if figures.Unread["no_connection"] == 0 || figures.Unread["unknown"] != 0 {
				t.Errorf("unread packets: %v", figures.Unread)
			}
			if !strings.Contains(f.helper.Stderr(), "conntrack lost a control connection") {
				t.Error("the log does not say so")
			}
		})
	}
}

// TestEntryDeletedBeforeBounce is the same with a command that must not be taken: a PORT that names another host.
func TestEntryDeletedBeforeBounce(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServers(t, f.vips[0])
	for range 20 { // conntrack's event ends the session before the next packet, or after it
		e := session(netip.Addr{}, configs.IPv4)
		e.toServer(t, "NOOP\r\n", "NOOP\r\n")
		e.toClient(t, "200 ok\r\n", "200 ok\r\n")
		f.lose(t, e.client.LocalAddr().(*net.TCPAddr).AddrPort(), f.vips[0].at(configs.IPv4))
		say(t, e.client, victimPort)
		must(t, e.server.SetReadDeadline(time.Now().Add(30*time.Second)))
		line, err := bufio.NewReader(e.server).ReadString('\n')
		must(t, err)
		if strings.Contains(line, "10,2,0,12") {
			t.Fatalf("the server reads %q", line)
		}
	}
}
