package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// TestConfig checks that ftpvip understands what Config writes, as it was meant.
func TestConfig(t *testing.T) {
	addrs := func(v4, v6 string) configs.Addrs {
		return configs.Addrs{V4: netip.MustParseAddr(v4), V6: netip.MustParseAddr(v6)}
	}
	text := lab.Config(configs.CarrierSane, lab.Farm{
		Name:      "farm",
		VIP:       addrs("192.0.2.10", "2001:db8::10"),
		Backends:  []*lab.Backend{{Namespace: &lab.Namespace{Name: "backend1"}, Addrs: addrs("10.2.0.11", "fd00::11")}},
		Weights:   []int{7},
		Scheduler: "round-robin",
		SNAT:      lab.YAMLAddrs(addrs("10.2.0.5", "fd00::5")),
		Rise:      3, Fall: 4, Timeout: 5 * time.Second,
	})
	c, err := configs.Parse("ftpvip.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	pool := c.Pools[0]
	got := []any{c.VIPs[0].Addrs, pool.Backends[0].Addrs, pool.Backends[0].Weight, pool.Scheduler, pool.SNAT,
		pool.Health.Rise, pool.Health.Fall, pool.Health.Timeout, c.Helper.Carrier}
	want := []any{addrs("192.0.2.10", "2001:db8::10"), addrs("10.2.0.11", "fd00::11"), 7, configs.RoundRobin,
		configs.SNAT{Mode: configs.SNATAddress, Addrs: addrs("10.2.0.5", "fd00::5")},
		3, 4, 5 * time.Second, configs.CarrierSane}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, text)
	}
}
