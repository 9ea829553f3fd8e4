package carrier

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/mdlayher/netlink"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/tests/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestEncodeDecode(t *testing.T) {
	for f, want := range map[configs.Family]uint16{configs.IPv4: 2, configs.IPv6: 10} {
		ae := netlink.NewAttributeEncoder()
		encodeHelper(ae, f)
		b, err := ae.Encode()
		if err != nil {
			t.Fatal(err)
		}
		name, l3, err := decodeHelper(b)
		if err != nil || name != rules.CTHelperName || l3 != want {
			t.Errorf("IPv%d: name %q, l3 %d, %v; want l3 %d", f, name, l3, err, want)
		}
	}
	if _, _, err := decodeHelper([]byte{1}); err == nil {
		t.Error("half an attribute is accepted")
	}
}

func TestSaneNeedsNothing(t *testing.T) {
	name, missing, err := Choose(configs.CarrierSane)
	if name != rules.SaneHelperName || missing || err != nil {
		t.Errorf("%q, %t, %v", name, missing, err)
	}
}

// Where the kernel has no nfnetlink_cthelper, auto falls back and cthelper says what to do.
func TestWithoutCTHelper(t *testing.T) {
	lab.Require(t, lab.Root)
	if lab.CTHelper.Check() == nil {
		t.Skip("this kernel has nfnetlink_cthelper: TestRegister covers it")
	}
	name, missing, err := Choose(configs.CarrierAuto)
	if name != rules.SaneHelperName || missing || err != nil {
		t.Errorf("auto: %q, %t, %v", name, missing, err)
	}
	if _, _, err := Choose(configs.CarrierCTHelper); !errors.Is(err, ErrUnavailable) {
		t.Errorf("cthelper: %v", err)
	}
	if err := Unregister(); err != nil {
		t.Errorf("removing what cannot be there: %v", err)
	}
}

func TestRegister(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT, lab.CTHelper)
	state := func(want bool) {
		t.Helper()
		name, missing, err := Choose(configs.CarrierAuto)
		if err != nil || name != rules.CTHelperName || missing != want {
			t.Fatalf("%q, missing %t, %v; want missing %t", name, missing, err, want)
		}
	}
	if err := Unregister(); err != nil {
		t.Fatal(err)
	}
	state(true)
	for range 2 { // twice: the second time changes nothing
		if err := Register(); err != nil {
			t.Fatal(err)
		}
		state(false)
	}
	nft := func(command string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "nft", command).CombinedOutput(); err != nil {
			t.Fatalf("nft %q: %v\n%s", command, err, out)
		}
	}
	nft(`table inet probe { ct helper x { type "ftpvip" protocol tcp; l3proto ip6; }; }`)
	if err := Unregister(); err != nil {
		t.Errorf("removing a helper in use is an error: %v", err)
	}
	nft("delete table inet probe")
	if err := Unregister(); err != nil {
		t.Fatal(err)
	}
	state(true)
}
