package e2e

import (
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// ip runs ip on the balancer and returns what it prints.
func (f *farm) ip(t *testing.T, words ...string) string {
	t.Helper()
	r, err := f.Balancer.Run(t.Context(), lab.Command{Args: append([]string{"ip"}, words...)})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return r.Stdout
}

// bound reports whether an interface of the balancer has the VIP, in both families.
func (f *farm) bound(t *testing.T, dev string) bool {
	t.Helper()
	text := f.ip(t, "-o", "addr", "show", "dev", dev)
	v4 := strings.Contains(text, " "+f.VIPs[0].V4.String()+"/32 ")
	v6 := strings.Contains(text, " "+f.VIPs[0].V6.String()+"/128 ")
	if v4 != v6 {
		t.Errorf("%s has the VIP in one family only:\n%s", dev, text)
	}
	return v4
}

// TestBind has apply add the VIP's addresses, move them, and take them away, with nobody else's touched.
func TestBind(t *testing.T) {
	f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}, scheduler: "round-robin"})
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	configure := func(keys ...string) {
		t.Helper()
		v.Keys = keys
		must(t, f.ftpvip.Configure(f.config()))
	}
	strangers := func() string { // what is not ours
		t.Helper()
		var all []string
		for line := range strings.Lines(f.ip(t, "-o", "addr", "show")) {
			if !strings.Contains(line, f.VIPs[0].V4.String()) && !strings.Contains(line, f.VIPs[0].V6.String()) {
				all = append(all, line)
			}
		}
		return strings.Join(all, "")
	}

	configure("bind: wan0") // the lab put the VIP on lo
	if r := f.exits(t, 1, "apply"); !strings.Contains(r.Stderr, "is on another interface already") {
		t.Errorf("apply says %s", r.Stderr)
	}
	for _, a := range f.VIPs[0].All() {
		f.ip(t, "addr", "del", a.String(), "dev", "lo")
	}
	before := strangers()
	if r := f.exits(t, 1, "diff"); !strings.Contains(r.Stdout, "+ address "+f.VIPs[0].V4.String()+"/32 dev wan0\n") {
		t.Errorf("diff says %s", r.Stdout)
	}
	if r := f.do(t, "apply", "--dry-run"); !strings.HasPrefix(r.Stdout, "# + address ") || f.bound(t, "wan0") {
		t.Errorf("a dry run says %.200s, or binds", r.Stdout)
	}
	f.do(t, "apply")
	f.exits(t, 0, "diff")
	if !f.bound(t, "wan0") {
		t.Error("apply did not bind")
	}
	for _, family := range configs.Families {
		f.transfers(t, v, f.Client, family, client.EPSV)
	}
	f.do(t, "apply")

	configure("bind: lan0")
	f.do(t, "apply")
	if f.bound(t, "wan0") || !f.bound(t, "lan0") {
		t.Error("the VIP did not move")
	}

	table := f.nft(t, "list", "table", "inet", "ftpvip")
	configure("bind: nosuch0", "limits: {connections_per_client: 7}")
	if r := f.exits(t, 1, "apply"); !strings.Contains(r.Stderr, "no interface of that name") || !strings.Contains(r.Stderr, "as it was before") {
		t.Errorf("apply says %s", r.Stderr)
	}
	if !f.bound(t, "lan0") || f.nft(t, "list", "table", "inet", "ftpvip") != table {
		t.Error("an apply that failed has changed something")
	}

	f.do(t, "rollback") // from lan0 to wan0
	if f.bound(t, "lan0") || !f.bound(t, "wan0") {
		t.Error("rollback did not move the VIP back")
	}
	configure()
	f.do(t, "apply")
	if f.bound(t, "wan0") || f.bound(t, "lan0") {
		t.Error("a VIP without bind is bound")
	}
	configure("bind: wan0")
	f.do(t, "apply")
	f.do(t, "flush")
	if f.bound(t, "wan0") {
		t.Error("flush left the VIP")
	}

	f.ip(t, "addr", "add", f.VIPs[0].V4.String(), "dev", "wan0") // an admin's own
	f.do(t, "apply")
	f.do(t, "flush")
	if !strings.Contains(f.ip(t, "addr", "show", "dev", "wan0"), f.VIPs[0].V4.String()) {
		t.Error("flush took an address that an admin had added")
	}
	if after := strangers(); after != before {
		t.Errorf("addresses of others were\n%sand are\n%s", before, after)
	}
}
