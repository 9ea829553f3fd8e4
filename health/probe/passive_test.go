package probe

import (
	"net/netip"
	"testing"
)

func TestParse227(t *testing.T) {
	tests := map[string]string{
		"Entering Passive Mode (10,2,0,11,195,80).":               "10.2.0.11:50000",
		"Entering passive mode. 127,0,0,1,4,51":                   "127.0.0.1:1075",
		"=127,0,0,1,4,51":                                         "127.0.0.1:1075",
		"(10, 2, 0, 11, 195, 80)":                                 "10.2.0.11:50000",
		"(010,002,000,011,195,080)":                               "10.2.0.11:50000",
		"Data transfer 2 will passively listen to 127,0,0,1,4,51": "127.0.0.1:1075",
		"ok": "", "(10,2,0,11,195)": "", "(10,2,0,256,195,80)": "", "(10,2,0,11,0,0)": "", "(0,0,0,0,195,80)": "",
		"(1,2,3,4,5,6,7)": "", "": "", "(10,2,0,11,195,99999999999999999999)": "",
	}
	for text, want := range tests {
		got, ok := parse227(text)
		if ok != (want != "") || ok && got != netip.MustParseAddrPort(want) {
			t.Errorf("%q: %v %v, want %q", text, got, ok, want)
		}
	}
}

func TestParse229(t *testing.T) {
	tests := map[string]uint16{
		"Entering Extended Passive Mode (|||6446|)": 6446, "Extended Passive mode OK (|||62282|).": 62282, "(!!!1024!)": 1024,
		"(|||0|)": 0, "(|||65536|)": 0, "(|||6446)": 0, "(||!6446|)": 0, "": 0, "|||": 0, "(|||x|)": 0,
	}
	for text, want := range tests {
		if got, ok := parse229(text); ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	}
}

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

// FuzzPassive: whatever a server says, what is taken from it can be connected to.
func FuzzPassive(f *testing.F) {
	f.Add("Entering Passive Mode (10,2,0,11,195,80).")
	f.Add("Entering Extended Passive Mode (|||6446|)")
	f.Fuzz(func(t *testing.T, text string) {
		if at, ok := parse227(text); ok && (!at.IsValid() || at.Port() == 0 || at.Addr().IsUnspecified()) {
			t.Errorf("%q: %v", text, at)
		}
		if port, ok := parse229(text); ok && port == 0 {
			t.Errorf("%q: port 0", text)
		}
	})
}
