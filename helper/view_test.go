package helper

import (
	"net/netip"
	"slices"
	"testing"

	"ftpvip/configs"
)

// TestViewOfFallback: servers of a fallback are as much at home behind a VIP as the pool's own.
func TestViewOfFallback(t *testing.T) {
	cfg := testConfig(t)
	pool := cfg.VIPs[0].Pool
	spare := netip.MustParseAddrPort("10.2.0.99:2121")
	alias := netip.MustParseAddr("172.16.0.99")
	cfg.Pools = append(cfg.Pools, configs.Pool{Name: "sorry", Backends: []configs.Backend{
		{Name: "spare", Addrs: configs.Addrs{V4: spare.Addr()}, Port: spare.Port(), Aliases: []netip.Addr{alias},
			PassivePorts: configs.PortRange{First: 61000, Last: 61999}},
		{Name: "twin", Addrs: pool.Backends[0].Addrs, Port: pool.Backends[0].Port},
	}})
	pool.Fallback = &cfg.Pools[len(cfg.Pools)-1]
	cfg.Link()
	v := newView(cfg).vips[twoArm.VIP]

	got := v.target(spare)
	if got.backend != "spare" || !slices.Contains(got.policy.Aliases, alias) || !slices.Contains(got.policy.Aliases, spare.Addr()) {
		t.Errorf("the fallback's server is %q and may name %v", got.backend, got.policy.Aliases)
	}
	if got := v.target(twoArm.Backend); got.backend != pool.Backends[0].Name {
		t.Errorf("a server of both pools is %q, want the pool's own %q", got.backend, pool.Backends[0].Name)
	}
	if !v.policy.Reserved(61500) || v.policy.Reserved(62000) {
		t.Error("the slices of the fallback are not reserved")
	}
}
