package e2e

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestZones: connections in a conntrack zone, as of VRFs and uplinks, are read and announced like others, and can be ended.
func TestZones(t *testing.T) {
	for _, tt := range []struct{ name, zone string }{{"zone 7", "ct zone set 7"}, {"original zone", "ct original zone set 7"}} {
		for _, arm := range arms {
			t.Run(tt.name+"/"+arm.name, func(t *testing.T) {
				f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, kinds: []server.Kind{server.PyFTPDlib}})
				v := f.vips[0]
				v.put(t, "file", content("file", fileSize))
				shell(t, f.Balancer, "nft -f - <<'E'\ntable inet zones {\nchain p { type filter hook prerouting priority raw; meta l4proto tcp "+tt.zone+
					"; }\nchain o { type filter hook output priority raw; meta l4proto tcp "+tt.zone+"; }\n}\nE")
				for _, family := range configs.Families {
					for _, mode := range client.Modes(family) {
						s := f.dial(t, v, netip.Addr{}, family)
						var got bytes.Buffer
						if _, err := s.Download(t.Context(), mode, "file", &got); err != nil || !bytes.Equal(got.Bytes(), content("file", fileSize)) {
							t.Errorf("IPv%d %s: %d bytes, %v", family, mode, got.Len(), err)
						}
						must(t, s.Close())
					}
				}
				s := f.dial(t, v, netip.Addr{}, configs.IPv4)
				f.do(t, "disable", "pyftpdlib/backend1")
				f.do(t, "disable", "pyftpdlib/backend2")
				if err := s.AwaitReset(5 * time.Second); err != nil {
					t.Errorf("a session of a disabled backend: %v", err)
				}
			})
		}
	}
}
