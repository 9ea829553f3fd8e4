package kernel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/rules"
)

// TestLists writes lists that share, swap and lose ranges one after the other, and reads each back equal. The last
// is what an admin's nft makes of it.
func TestLists(t *testing.T) {
	k := open(t)
	cfg := farm(1)
	for _, list := range []string{
		"10.0.0.0/8 192.0.2.0/24 2001:db8::/32",
		"10.0.0.0/9 192.0.2.0/24 2001:db8::/32 2001:db9::/32",        // a range shrinks, one comes that touches another
		"10.0.0.0/9 10.128.0.0/10 192.0.2.0/25 192.0.2.192/26 ::/16", // ranges grow and part
		"0.0.0.0/0 ::/0",
		"255.255.255.255/32 0.0.0.0/32 ffff::/16",
		"0.0.0.0/1 ::/1 192.0.2.1/32",
		"128.0.0.0/1",
	} {
		cfg.VIPs[0].Deny = nil
		for p := range strings.FieldsSeq(list) {
			cfg.VIPs[0].Deny = append(cfg.VIPs[0].Deny, netip.MustParsePrefix(p))
		}
		apply(t, k, build(cfg))
		if p := apply(t, k, build(cfg)); !p.Empty() {
			t.Errorf("after %s, what is read back differs:\n%s", list, p.Text())
		}
	}
	out, err := exec.CommandContext(t.Context(), "nft", "list", "set", "inet", rules.TableName, "deny4-farm0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "128.0.0.0/1") {
		t.Errorf("nft prints the list as %s (%v)", out, err)
	}
}

// TestLongList writes 100,000 prefixes, changes one, and has the kernel find each kind of address.
func TestLongList(t *testing.T) {
	k := open(t)
	cfg := farm(1)
	apply(t, k, build(cfg))
	random := rand.New(rand.NewPCG(1, 2))
	const many = 100_000
	for range many {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], random.Uint32()&^0xff)
		cfg.VIPs[0].Deny = append(cfg.VIPs[0].Deny, netip.PrefixFrom(netip.AddrFrom4(b), 25))
	}
	timed := func(what string, wantElements int) {
		t.Helper()
		start := time.Now()
		p := apply(t, k, build(cfg))
		deleted, added := p.Elements()
		t.Logf("%s: %s, %d elements deleted, %d added", what, time.Since(start).Round(time.Millisecond), deleted, added)
		if deleted+added < wantElements || wantElements <= 2 && deleted+added > 2 {
			t.Errorf("%s: %d elements deleted, %d added", what, deleted, added)
		}
	}
	timed("written", many*9/10)
	timed("no change", 0)
	cfg.VIPs[0].Deny[0] = netip.MustParsePrefix("192.0.2.1/32")
	timed("one changed", 1)
	inSet := func(a string) bool {
		return exec.CommandContext(t.Context(), "nft", "get", "element", "inet", rules.TableName, "deny4-farm0",
			fmt.Sprintf("{ %s }", a)).Run() == nil
	}
	if !inSet("192.0.2.1") || !inSet(cfg.VIPs[0].Deny[many/2].Addr().String()) || inSet("240.0.0.255") {
		t.Error("the kernel does not find what the list holds, or finds what it does not hold")
	}
}

// TestLimitsSurvive checks that what a limit has counted is not lost by an apply that leaves the limit as it is.
func TestLimitsSurvive(t *testing.T) {
	k := open(t)
	cfg := farm(2)
	cfg.VIPs[0].Limits = configs.Limits{PerClient: 5, NewPerSecond: 10, Burst: 20, PerBackend: 100}
	apply(t, k, build(cfg))
	out, err := exec.CommandContext(t.Context(), "nft", "add", "element", "inet", rules.TableName, "clients4-farm0",
		"{ 192.0.2.77 ct count over 5 }").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cfg.VIPs[1].Limits = cfg.VIPs[0].Limits
	cfg.VIPs[0].Limits.PerBackend = 50
	if p := apply(t, k, build(cfg)); p.Empty() {
		t.Error("nothing changed")
	}
	out, err = exec.CommandContext(t.Context(), "nft", "list", "set", "inet", rules.TableName, "clients4-farm0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "192.0.2.77") {
		t.Errorf("the element that was there is gone: %s (%v)", out, err)
	}
	cfg.VIPs[0].Limits.PerClient = 6
	apply(t, k, build(cfg))
	out, err = exec.CommandContext(t.Context(), "nft", "list", "set", "inet", rules.TableName, "clients4-farm0").CombinedOutput()
	if err != nil || strings.Contains(string(out), "192.0.2.77") {
		t.Errorf("an element keeps the limit that it was made with: %s (%v)", out, err)
	}
}
