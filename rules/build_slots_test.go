package rules

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

// TestBuildSlots: what is built for some backends is what the whole table has for their pools and for those that fall
// back on them.
func TestBuildSlots(t *testing.T) {
	cfg := &configs.Config{Helper: configs.Helper{Queues: 1}}
	for i, name := range []string{"a", "b", "c"} {
		cfg.VIPs = append(cfg.VIPs, configs.VIP{
			Name: name, Addrs: configs.Addrs{V4: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1))}, Port: 21,
		})
		p := configs.Pool{Name: name, Scheduler: configs.RoundRobin, Affinity: time.Hour, SNAT: configs.SNAT{Mode: configs.SNATNone}}
		for j := range 3 {
			p.Backends = append(p.Backends, configs.Backend{
				Name: fmt.Sprintf("ftp%d", j), Addrs: configs.Addrs{V4: netip.MustParseAddr(fmt.Sprintf("10.2.%d.%d", i, j+1))},
				Port: 21, Weight: 10, Tier: 1,
			})
		}
		cfg.Pools = append(cfg.Pools, p)
	}
	for i := range cfg.VIPs {
		cfg.VIPs[i].Pool = &cfg.Pools[i]
	}
	cfg.Pools[1].Fallback = &cfg.Pools[2]
	cfg.Link()
	ref := func(pool string) configs.Ref { return configs.Ref{Pool: pool, Backend: "ftp1"} }
	tests := []struct {
		name     string
		backends []configs.Ref
		pools    []string
	}{
		{"one pool", []configs.Ref{ref("a")}, []string{"a"}},
		{"a pool that another falls back on", []configs.Ref{ref("c")}, []string{"b", "c"}},
		{"a pool with a fallback", []configs.Ref{ref("b")}, []string{"b"}},
		{"several", []configs.Ref{ref("a"), ref("c"), ref("a")}, []string{"a", "b", "c"}},
		{"a backend that is not there", []configs.Ref{ref("x")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := State{Down: map[configs.Ref]bool{tt.backends[0]: true}}
			whole, got := Build(cfg, state, SaneHelperName), BuildSlots(cfg, state, tt.backends)
			var want []*Set
			var affinity []Affinity
			for _, pool := range tt.pools {
				want = append(want, whole.Set(SlotsName(pool, configs.IPv4)))
				for _, a := range whole.Affinity {
					if a.Slots == SlotsName(pool, configs.IPv4) {
						affinity = append(affinity, a)
						want = append(want, whole.Set(a.Clients), whole.Set(a.Ports))
					}
				}
			}
			if diff := cmp.Diff(want, got.Sets); diff != "" {
				t.Errorf("sets (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(affinity, got.Affinity); diff != "" {
				t.Errorf("affinity (-want +got)\n%s", diff)
			}
			if len(got.Chains)+len(got.Helpers) > 0 {
				t.Errorf("chains or helpers are built as well: %s", got.Text())
			}
		})
	}
}
