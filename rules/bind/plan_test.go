package bind

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

func at(dev, addr string) Address { return Address{dev, netip.MustParseAddr(addr)} }

func TestWanted(t *testing.T) {
	addr := netip.MustParseAddr
	both := configs.Addrs{V4: addr("192.0.2.10"), V6: addr("2001:db8::10")}
	cfg := &configs.Config{VIPs: []configs.VIP{
		{Name: "ftp", Addrs: both, Bind: "eth0"},
		{Name: "ftps", Addrs: both, Bind: "eth0"}, // another port of the same address
		{Name: "free", Addrs: configs.Addrs{V4: addr("192.0.2.11")}},
	}}
	want := []Address{at("eth0", "192.0.2.10"), at("eth0", "2001:db8::10")}
	if d := cmp.Diff(want, Wanted(cfg), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if got := Wanted(nil); got != nil {
		t.Errorf("nothing wants %v", got)
	}
}

func TestDiff(t *testing.T) {
	ours := func(dev, addr string) Held { return Held{at(dev, addr), true} }
	theirs := func(dev, addr string) Held { return Held{at(dev, addr), false} }
	tests := []struct {
		name string
		have []Held
		want []Address
		text string
		err  error
	}{
		{"nothing", nil, nil, "", nil},
		{"new", []Held{theirs("eth0", "198.51.100.1")}, []Address{at("eth0", "192.0.2.10"), at("eth0", "2001:db8::10")},
			"+ address 192.0.2.10/32 dev eth0\n+ address 2001:db8::10/128 dev eth0\n", nil},
		{"there", []Held{ours("eth0", "192.0.2.10")}, []Address{at("eth0", "192.0.2.10")}, "", nil},
		{"there, and an admin's", []Held{theirs("eth0", "192.0.2.10")}, []Address{at("eth0", "192.0.2.10")}, "", nil},
		{"moves", []Held{ours("eth0", "192.0.2.10")}, []Address{at("eth1", "192.0.2.10")},
			"- address 192.0.2.10/32 dev eth0\n+ address 192.0.2.10/32 dev eth1\n", nil},
		{"goes", []Held{ours("eth0", "192.0.2.10"), theirs("eth0", "192.0.2.11")}, nil, "- address 192.0.2.10/32 dev eth0\n", nil},
		{"taken", []Held{theirs("lo", "192.0.2.10")}, []Address{at("eth0", "192.0.2.10")}, "", ErrTaken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Diff(tt.have, tt.want)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.text, p.Text()); d != "" || p.Empty() != (tt.text == "") {
				t.Errorf("empty: %t, -want +got\n%s", p.Empty(), d)
			}
		})
	}
}
