package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// refused counts what `ftpvip status` says of a VIP's refusals.
func (f *farm) refused(t *testing.T, vip int) map[string]int {
	t.Helper()
	var status struct {
		VIPs []struct{ Refused map[string]int }
	}
	must(t, json.Unmarshal([]byte(f.do(t, "status", "-o", "json").Stdout), &status))
	return status.VIPs[vip].Refused
}

// isReset checks that a connection is refused at once by a TCP reset.
func (f *farm) isReset(t *testing.T, host *lab.Namespace, from netip.Addr, at netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := host.Dial(ctx, from, at)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting from %s to %s: %v, want a reset", from, at, err)
	}
}

// opens checks that a control connection is let in, and returns it.
func (f *farm) opens(t *testing.T, from netip.Addr, at netip.AddrPort) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := f.Client.Dial(ctx, from, at)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestConnectionsPerClient fills a client's share, in both families, two-arm and one-arm, with data connections that
// must not count.
func TestConnectionsPerClient(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, clients: 2, keys: []string{"limits: {connections_per_client: 3}"}})
			v := f.vips[0]
			v.put(t, "file", content("file", smallSize))
			for i, family := range configs.Families {
				first := f.ClientAddrs[0].Of(family)
				var sessions []*client.Session
				for range 3 {
					s := f.dial(t, v, first, family)
					sessions = append(sessions, s)
					for _, mode := range client.Modes(family) {
						if mode == client.PORT && arm.arm == lab.OneArm {
							continue // see TestWhatBothSidesSee
						}
						_, err := s.Download(t.Context(), mode, "file", discard{})
						must(t, err)
					}
				}
				f.isReset(t, f.Client, first, v.at(family))
				if family == configs.IPv4 {
					f.opens(t, f.ClientAddrs[1].V4, v.at(family))
				} else {
					f.isReset(t, f.Client, f.ClientAddrs[1].V6, v.at(family)) // the same /64
				}
				// On a busy machine the reset may come after the SYN was sent again: that is one more.
				if got := f.refused(t, 0)["clients"]; got < 1+2*i || got > 2*(1+2*i) {
					t.Errorf("status tells of %d refusals after IPv%d", got, family)
				}
				// One that ends makes room for one.
				must(t, sessions[0].Close())
				eventually(t, "a place that became free is taken", func() bool {
					conn, err := f.Client.Dial(t.Context(), first, v.at(family))
					if err == nil {
						t.Cleanup(func() { _ = conn.Close() })
					}
					return err == nil
				})
				must(t, sessions[1].Noop())
			}
			if text := f.do(t, "status").Stdout; !strings.Contains(text, "refused beyond connections_per_client: ") {
				t.Errorf("status does not tell of refusals:\n%s", text)
			}
			f.do(t, "apply")
			f.exits(t, 0, "diff")
		})
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestConnectionsPerBackend fills one backend; the other, and the other VIP's pool, go on.
func TestConnectionsPerBackend(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{
				arm: arm.arm, snat: arm.snat, scheduler: "round-robin", keys: []string{"limits: {connections_per_backend: 2}"},
			})
			v := f.vips[0]
			for _, family := range configs.Families {
				for range 4 { // in turn: two for each
					f.dial(t, v, netip.Addr{}, family)
				}
				for range 4 {
					f.isReset(t, f.Client, netip.Addr{}, v.at(family))
				}
			}
			if got := f.refused(t, 0)["backends"]; got != 8 {
				t.Errorf("status tells of %d refusals, want 8", got)
			}
		})
	}
}

// TestNewPerSecond sends more new connections at once than a client's burst, then waits for the bucket to refill.
func TestNewPerSecond(t *testing.T) {
	f := newFarm(t, arrangement{clients: 2, keys: []string{"limits: {new_per_second_per_client: 1, burst: 4}"}})
	v := f.vips[0]
	at := v.at(configs.IPv4)
	let, reset := 0, 0
	start := time.Now()
	for range 40 {
		conn, err := f.Client.Dial(t.Context(), f.ClientAddrs[0].V4, at)
		switch {
		case err == nil:
			let++
			_ = conn.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			reset++
		default:
			t.Fatal(err)
		}
	}
	elapsed := time.Since(start).Seconds()
	if let < 4 || float64(let) > 5+elapsed {
		t.Errorf("%d connections were let in within %.1f s, want 4 and one a second more", let, elapsed)
	}
	if got := f.refused(t, 0)["rate"]; got != reset || reset == 0 {
		t.Errorf("status tells of %d refusals, the client saw %d", got, reset)
	}
	f.opens(t, f.ClientAddrs[1].V4, at)
	time.Sleep(1200 * time.Millisecond)
	f.opens(t, f.ClientAddrs[0].V4, at)
}

// TestLists refuses and admits clients by prefix, and changes the lists under a running session.
func TestLists(t *testing.T) {
	f := newFarm(t, arrangement{clients: 3})
	v := f.vips[0]
	second, third := f.ClientAddrs[1], f.ClientAddrs[2]
	running := f.dial(t, v, second.V4, configs.IPv4)
	change := func(keys ...string) {
		t.Helper()
		v.Keys = keys
		must(t, f.ftpvip.Configure(f.config()))
		f.do(t, "apply")
		f.exits(t, 0, "diff")
	}
	change(fmt.Sprintf("deny: [%s, %q]", second.V4, second.V6))
	for _, family := range configs.Families {
		f.isReset(t, f.Client, second.Of(family), v.at(family))
		f.opens(t, third.Of(family), v.at(family))
	}
	must(t, running.Noop()) // established connections survive
	_, err := running.Upload(t.Context(), client.PASV, server.UploadDir+"/late", strings.NewReader("late"))
	must(t, err)

	change(fmt.Sprintf("allow: [%s]", third.V4))
	f.isReset(t, f.Client, second.V4, v.at(configs.IPv4))
	f.opens(t, third.V4, v.at(configs.IPv4))
	f.isReset(t, f.Client, third.V6, v.at(configs.IPv6)) // allow names no IPv6 prefix

	change("allow: [0.0.0.0/0, \"::/0\"]", fmt.Sprintf("deny: [%s]", third.V4))
	f.isReset(t, f.Client, third.V4, v.at(configs.IPv4))
	f.opens(t, second.V4, v.at(configs.IPv4))
	refused := f.refused(t, 0)
	if refused["denied"] != 1 {
		t.Errorf("status tells %v, want one denied since the list is there", refused)
	}
	change()
	f.opens(t, third.V4, v.at(configs.IPv4))
}
