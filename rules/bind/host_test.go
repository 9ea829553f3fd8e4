package bind

import (
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"ftpvip/tests/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// link gives the test's world an interface with an address of the admin's.
func link(t *testing.T, name string) {
	t.Helper()
	lab.Require(t, lab.Root)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	l := &netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}
	if err := netlink.LinkAdd(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(l); err != nil {
			t.Error(err)
		}
	})
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(l, addr); err != nil {
		t.Fatal(err)
	}
}

// addresses lists what the world has, without link-local and loopback addresses; ours are marked.
func addresses(t *testing.T) []string {
	t.Helper()
	have, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, h := range have {
		if h.Addr.IsLinkLocalUnicast() || h.Addr.IsLoopback() {
			continue
		}
		text := h.String()
		if h.Ours {
			text += " ours"
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

func expect(t *testing.T, want ...string) {
	t.Helper()
	if got := addresses(t); !slices.Equal(got, want) {
		t.Errorf("addresses are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const admins = "192.0.2.1/32 dev b0" // Address leaves the length of its prefix out

func TestApply(t *testing.T) {
	link(t, "b0")
	plan := Plan{Add: []Address{at("b0", "192.0.2.10"), at("b0", "2001:db8::10")}}
	undo, err := Apply(plan)
	if err != nil {
		t.Fatal(err)
	}
	const v4, v6 = "192.0.2.10/32 dev b0 ours", "2001:db8::10/128 dev b0 ours"
	expect(t, admins, v4, v6)
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	expect(t, admins)

	// One after another: the last fails, and all before it are taken back.
	if _, err := Apply(plan); err != nil {
		t.Fatal(err)
	}
	undo, err = Apply(Plan{
		Add:    []Address{at("b0", "192.0.2.11"), at("nosuch0", "192.0.2.12")},
		Delete: []Address{at("b0", "192.0.2.10")},
	})
	if err == nil || !strings.Contains(err.Error(), "no interface of that name") {
		t.Fatalf("adding to an interface that is not there: %v", err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	expect(t, admins, v4, v6)

	// What is gone already is no error.
	gone := Plan{Delete: []Address{at("b0", "192.0.2.10"), at("b0", "2001:db8::10")}}
	for range 2 {
		if _, err := Apply(gone); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, admins)
}

// TestDeprecated checks that the host does not take an IPv6 VIP for its own connections.
func TestDeprecated(t *testing.T) {
	link(t, "b0")
	if _, err := Apply(Plan{Add: []Address{at("b0", "2001:db8::10")}}); err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName("b0")
	if err != nil {
		t.Fatal(err)
	}
	list, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.IP.String() == "2001:db8::10" {
			if a.PreferedLft != 0 || a.ValidLft == 0 {
				t.Errorf("the VIP is preferred for %d s and valid for %d s", a.PreferedLft, a.ValidLft)
			}
			return
		}
	}
	t.Errorf("the VIP is not among %v", list)
}
