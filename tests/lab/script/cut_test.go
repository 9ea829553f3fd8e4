package script

import (
	"slices"
	"testing"
)

func TestPieces(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  Cut
		text string
		want []string
	}{
		{"whole", Cut{}, "PASV\r\n", []string{"PASV\r\n"}},
		{"each byte", EachByte(0), "abc", []string{"a", "b", "c"}},
		{"one byte", EachByte(0), "a", []string{"a"}},
		{"at a position", At(0, 2), "PASV\r\n", []string{"PA", "SV\r\n"}},
		{"from the end", At(0, -1), "PASV\r\n", []string{"PASV\r", "\n"}},
		{"outside", At(0, 9), "PASV\r\n", []string{"PASV\r\n"}},
		{"outside, from the end", At(0, -9), "PASV\r\n", []string{"PASV\r\n"}},
		{"after parts", After(0, "227", "("), "227 x (1).", []string{"227", " x (", "1)."}},
		{"after a part that is missing", After(0, "229", "("), "227 x (1).", []string{"227 x (", "1)."}},
	} {
		if got := tt.cut.pieces(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFreshPort(t *testing.T) {
	seen := map[uint16]bool{}
	for range highs * lows {
		p := FreshPort()
		if seen[p] || !Plausible(p) {
			t.Fatalf("port %d: seen before %t, plausible %t", p, seen[p], Plausible(p))
		}
		seen[p] = true
	}
	for _, p := range []uint16{0, 1024, 60<<8 | 20, 60<<8 | 2, 6<<8 | 200, 65535} {
		if Plausible(p) {
			t.Errorf("%d is plausible", p)
		}
	}
}

func TestParseAnnouncement(t *testing.T) {
	for _, tt := range []struct{ verb, argument, want string }{
		{"PORT", "10,2,1,12,8,174", "10.2.1.12:2222"},
		{"PORT", "010,02,000,001,95,200", "10.2.0.1:24520"},
		{"PORT", "10,2,1,12,8", ""},
		{"PORT", "refusedxxx", ""},
		{"EPRT", "|1|10.2.1.12|2222|", "10.2.1.12:2222"},
		{"EPRT", "|2|fd00::1|000000049615|", "[fd00::1]:49615"},
		{"EPRT", "|2|fd00::1|xxxxx", ""},
	} {
		got, err := ParseAnnouncement(tt.verb, tt.argument)
		if tt.want == "" && err == nil || tt.want != "" && got.String() != tt.want {
			t.Errorf("%s %s: %v %v, want %s", tt.verb, tt.argument, got, err, tt.want)
		}
	}
}
