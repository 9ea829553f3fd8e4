package e2e

import (
	"fmt"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab/server"
)

// letIn opens the balancer to connections from the backends, which the admin's firewall does not.
const letIn = `table inet admin {
	chain input {
		ip saddr 10.0.0.0/8 tcp dport 1024-65535 accept
		ip6 saddr fd00::/64 tcp dport 1024-65535 accept
	}
}
`

// TestTransferChecks has every server pass ftp-transfer in all modes, straight and through the VIP: there the whole way
// is checked, under a firewall that lets no data connection in by itself.
func TestTransferChecks(t *testing.T) {
	for _, kind := range []server.Kind{server.Embedded, server.VSFTPD, server.PyFTPDlib, server.ProFTPD, server.PureFTPd} {
		for _, arm := range arms {
			for _, through := range []configs.Through{configs.ThroughBackend, configs.ThroughVIP} {
				t.Run(fmt.Sprintf("%s/%s/%s", kind, arm.name, through), func(t *testing.T) {
					modes := "[pasv, epsv, port, eprt]"
					if through == configs.ThroughVIP && strings.HasPrefix(arm.name, "one-arm") && kind == server.Embedded {
						modes = "[pasv, epsv, eprt]" // see TestWhatBothSidesSee
					}
					f := newFarm(t, arrangement{kinds: []server.Kind{kind}, arm: arm.arm, snat: arm.snat, health: []string{
						"check: ftp-transfer", "modes: " + modes, "path: file", "size: 1000", "through: " + string(through),
					}})
					v := f.vips[0]
					v.put(t, "file", content("file", 1000))
					if through == configs.ThroughBackend {
						must(t, f.Firewall(letIn))
					}
					r := f.exits(t, 0, "health")
					if n := strings.Count(r.Stdout, "unknown -> up"); n != 2 {
						t.Errorf("%d of 2 servers pass\n%s%s", n, r.Stdout, r.Stderr)
					}
				})
			}
		}
	}
}

// TestChecksGoWhereTheyShould stops one server of two: through the VIP, the check finds that one and no other.
func TestChecksGoWhereTheyShould(t *testing.T) {
	f := newFarm(t, arrangement{health: []string{"check: ftp-login", "through: vip"}})
	v := f.vips[0]
	v.servers[1].Kill()
	for range fall {
		r := f.do(t, "health")
		if !strings.Contains(r.Stdout, " through 192.0.2.10:21: connection refused") {
			t.Errorf("%s", r.Stdout)
		}
	}
	r := f.do(t, "health")
	for _, b := range v.Backends {
		want := b.Name + "  up"
		if b == v.Backends[1] {
			want = b.Name + "  down"
		}
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("no %q in\n%s", want, r.Stdout)
		}
	}
	f.health(t, 1)

	f.helper.Kill()
	f.ftpvip.Config += ".down"
	must(t, f.ftpvip.Configure(strings.ReplaceAll(f.config(), "timeout: 2s", "timeout: 5s")))
	for range fall + 1 {
		r = f.do(t, "health")
	}
	if !strings.Contains(r.Stdout, v.Backends[0].Name+"  up") || !strings.Contains(r.Stdout, "it is this host's rules or helper") {
		t.Errorf("without the helper:\n%s", r.Stdout)
	}
}
