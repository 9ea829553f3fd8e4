package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/live"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// runConntrack runs conntrack on the balancer.
func (f *farm) runConntrack(t *testing.T, words ...string) {
	t.Helper()
	r, err := f.Balancer.Run(t.Context(), lab.Command{Args: append([]string{"conntrack"}, words...)})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
}

// lose has conntrack forget a connection of a client's.
func (f *farm) lose(t *testing.T, from, vip netip.AddrPort) {
	t.Helper()
	f.runConntrack(t, "-D", "-f", fmt.Sprintf("ipv%d", configs.FamilyOf(from.Addr())), "-p", "tcp", "-s", from.Addr().String(),
		"-d", vip.Addr().String(), "--sport", fmt.Sprint(from.Port()), "--dport", fmt.Sprint(vip.Port()))
}

// acknowledged waits until the servers have no byte under way: an acknowledgement that comes late would have conntrack know
// a connection again before its next command.
func (f *farm) acknowledged(t *testing.T) {
	t.Helper()
	eventually(t, "all that servers sent is acknowledged", func() bool {
		for _, b := range f.Backends {
			r, err := b.Run(t.Context(), lab.Command{Args: []string{"ss", "-tnH", "state", "established"}})
			must(t, err)
			for line := range strings.Lines(r.Stdout) {
				if columns := strings.Fields(line); len(columns) < 2 || columns[1] != "0" {
					return false
				}
			}
		}
		return true
	})
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
						f.acknowledged(t)
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
		f.lose(t, endpoint(e.client.LocalAddr()), f.vips[0].at(configs.IPv4))
		say(t, e.client, victimPort)
		must(t, e.server.SetReadDeadline(time.Now().Add(30*time.Second)))
		line, err := bufio.NewReader(e.server).ReadString('\n')
		must(t, err)
		if strings.Contains(line, "10,2,0,12") {
			t.Fatalf("the server reads %q", line)
		}
	}
}
