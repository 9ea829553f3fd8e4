package probe

import (
	"net/netip"
	"testing"
)

func TestArguments(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.2.0.1:50000"), netip.MustParseAddrPort("[fd00::1]:50000")
	for got, want := range map[string]string{
		portArgument(v4): "10,2,0,1,195,80", eprtArgument(v4): "|1|10.2.0.1|50000|", eprtArgument(v6): "|2|fd00::1|50000|",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
