package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// TestVIPGone: diff says how many sessions a VIP that goes will cost, apply ends them with a reset, and others go on.
func TestVIPGone(t *testing.T) {
	f := newFarm(t, arrangement{kinds: []server.Kind{server.Embedded, server.PyFTPDlib}})
	stays, goes := f.dial(t, f.vips[0], netip.Addr{}, configs.IPv4), f.dial(t, f.vips[1], netip.Addr{}, configs.IPv4)
	goes6 := f.dial(t, f.vips[1], netip.Addr{}, configs.IPv6)
	must(t, f.ftpvip.Configure(lab.Config(f.carrier, f.vips[0].Farm)))
	r := f.exits(t, 1, "diff")
	for _, family := range configs.Families {
		if !strings.Contains(r.Stdout, "! 1 sessions of VIP "+f.vips[1].at(family).String()+" end with a reset") {
			t.Errorf("diff does not say what it costs: %s", r)
		}
	}
	if r := f.do(t, "apply"); !strings.Contains(r.Stderr, "were reset") {
		t.Errorf("apply does not say so: %s", r)
	}
	for _, s := range []interface{ AwaitReset(time.Duration) error }{goes, goes6} {
		if err := s.AwaitReset(5 * time.Second); err != nil {
			t.Errorf("a session of the VIP that is gone: %v", err)
		}
	}
	if err := stays.Noop(); err != nil {
		t.Errorf("the other VIP's session: %v", err)
	}
	f.exits(t, 0, "diff")
}
