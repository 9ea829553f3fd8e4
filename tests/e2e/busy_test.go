package e2e

import (
	"testing"
	"time"

	"ftpvip/tests/lab"
)

// TestBusyRuleset: another program changes its own rules some two hundred times a second; apply, checks and decisions work all the same.
func TestBusyRuleset(t *testing.T) {
	f := newFarm(t, arrangement{})
	shell(t, f.Balancer, "nft add table inet busy; nft add set inet busy s '{ type ipv4_addr; }'")
	busy, err := f.Balancer.Start(t.Context(), lab.Command{Args: []string{"sh", "-c",
		"while :; do echo 'add element inet busy s { 192.0.2.1 }'; echo 'delete element inet busy s { 192.0.2.1 }'; done | nft -i >/dev/null"}})
	must(t, err)
	defer busy.Kill()
	eventually(t, "rules change", func() bool {
		before := f.generation(t)
		time.Sleep(time.Second)
		return f.generation(t)-before > 20 // an emulated processor takes its time
	})
	before := f.generation(t)
	began := time.Now()
	f.vips[0].Scheduler = "random"
	must(t, f.ftpvip.Configure(f.config()))
	f.do(t, "apply")
	f.do(t, "drain", "embedded/backend1")
	f.do(t, "health")
	f.do(t, "enable", "embedded/backend1")
	f.do(t, "health")
	f.exits(t, 0, "diff")
	t.Logf("%.0f changes a second", float64(f.generation(t)-before)/time.Since(began).Seconds())
	f.passes(t)
}
