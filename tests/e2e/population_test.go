package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// parallel is how many sessions one client address has at the same time.
const parallel = 8

// TestParallelSessionsOfOneClient has every client address run 8 sessions at once, each with several transfers.
func TestParallelSessionsOfOneClient(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, clients: 2})
			v := f.vips[0]
			v.put(t, "file", content("file", smallSize))
			for _, family := range configs.Families {
				var modes []client.Mode
				for _, mode := range client.Modes(family) {
					if mode != client.PORT || arm.name != "one-arm masquerade" { // see TestWhatBothSidesSee
						modes = append(modes, mode)
					}
				}
				for c, from := range f.ClientAddrs {
					for i := range parallel {
						mode := modes[i%len(modes)]
						name := fmt.Sprintf("IPv%d-client%d-%d-%s", family, c, i, mode)
						t.Run(name, func(t *testing.T) {
							t.Parallel()
							s := f.dial(t, v, from.Of(family), family)
							downAndUp(t, v, s, mode, name)
						})
					}
				}
			}
		})
	}
}

// downAndUp does several transfers in a session; name tells its uploads from others.
func downAndUp(t *testing.T, v *vip, s *client.Session, mode client.Mode, name string) {
	t.Helper()
	for n := range 3 {
		var got bytes.Buffer
		_, err := s.Download(t.Context(), mode, "file", &got)
		must(t, err)
		if !bytes.Equal(got.Bytes(), content("file", smallSize)) {
			t.Fatalf("download %d: %d bytes, want %d, or others", n, got.Len(), smallSize)
		}
		up := fmt.Sprintf("%s-%d", name, n)
		want := content(up, smallSize)
		_, err = s.Upload(t.Context(), mode, server.UploadDir+"/"+up, bytes.NewReader(want))
		must(t, err)
		if !bytes.Equal(v.uploaded(t, up), want) {
			t.Fatalf("upload %d: the server has got something else", n)
		}
	}
	must(t, s.Noop())
}

// TestPASVReplyNamesVIP has servers whose replies to PASV name the VIP already.
func TestPASVReplyNamesVIP(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPDNamesVIP}, arm: arm.arm, snat: arm.snat})
			v := f.vips[0]
			v.put(t, "file", content("file", fileSize))
			for _, mode := range []client.Mode{client.PASV, client.EPSV} {
				t.Run(string(mode), func(t *testing.T) {
					lab.Require(t, client.Curl.Needs()...)
					testOperations(t, f, v, client.Curl, mode, configs.IPv4)
				})
			}
		})
	}
}

// natted makes the VIPs see all clients at the first one's address.
const natted = `table inet natted {
	chain out {
		type nat hook postrouting priority srcnat;
		ip saddr 198.51.100.0/24 snat ip to %s
		ip6 saddr 2001:db8:1::/64 snat ip6 to %s
	}
}
`

// TestPopulationBehindNAT has a population of clients whom the balancer knows by one address. The servers listen
// for data on the same few ports, so that only the balancer can keep their data ports apart.
func TestPopulationBehindNAT(t *testing.T) {
	const clients, each = 8, 3
	f := newFarm(t, arrangement{
		kinds: []server.Kind{server.VSFTPDNamesVIP}, clients: clients, scheduler: "round-robin",
	})
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	text := fmt.Sprintf(natted, f.ClientAddrs[0].V4, f.ClientAddrs[0].V6)
	r, err := f.Client.Run(t.Context(), lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(text)})
	must(t, err)
	if r.Code != 0 {
		t.Fatalf("setting up NAT: %s", r)
	}
	for _, family := range configs.Families {
		modes := []client.Mode{client.PASV, client.EPSV}
		if family == configs.IPv6 {
			modes = modes[1:]
		}
		for _, mode := range modes {
			t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) {
				testPopulation(t, f, v, family, mode, each)
			})
		}
	}
}

// testPopulation has all sessions wait with a data port of their own, and then transfer at the same time.
func testPopulation(t *testing.T, f *farm, v *vip, family configs.Family, mode client.Mode, each int) {
	var sessions []*client.Session
	landed, taken := map[string]int{}, map[netip.AddrPort]int{}
	for range each {
		for _, from := range f.ClientAddrs {
			s := f.dial(t, v, from.Of(family), family)
			name, _, _ := strings.Cut(s.Banner, " ")
			landed[name]++
			sessions = append(sessions, s)
		}
	}
	if len(landed) != len(v.servers) {
		t.Fatalf("the sessions landed on %v, want both", landed)
	}
	for i, s := range sessions {
		at, err := s.Passive(mode)
		must(t, err)
		if other, ok := taken[at]; ok {
			t.Errorf("sessions %d and %d were both told %s", other, i, at)
		}
		taken[at] = i
		if at.Addr() != v.at(family).Addr() {
			t.Errorf("session %d was told %s, want the VIP", i, at)
		}
	}
	var wait sync.WaitGroup
	for i, s := range sessions {
		wait.Go(func() {
			if err := populationTransfers(t.Context(), s, mode); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	wait.Wait()
}

func populationTransfers(ctx context.Context, s *client.Session, mode client.Mode) error {
	for range 3 {
		var got bytes.Buffer
		if _, err := s.Download(ctx, mode, "file", &got); err != nil {
			return err
		}
		if !bytes.Equal(got.Bytes(), content("file", smallSize)) {
			return fmt.Errorf("%d bytes, want %d, or others", got.Len(), smallSize)
		}
	}
	return s.Close()
}
