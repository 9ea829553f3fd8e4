package rules

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

func TestIntervals(t *testing.T) {
	tests := []struct {
		name, prefixes string
		want           string
	}{
		{"none", "", ""},
		{"one", "192.0.2.0/24", "192.0.2.0/24"},
		{"address", "192.0.2.1/32", "192.0.2.1"},
		{"twice", "192.0.2.0/24 192.0.2.0/24", "192.0.2.0/24"},
		{"within", "10.1.0.0/16 10.0.0.0/8 10.255.255.255/32", "10.0.0.0/8"},
		{"touching", "10.128.0.0/9 10.0.0.0/9", "10.0.0.0/8"},
		{"touching, no prefix", "192.0.2.4/31 192.0.2.6/32", "192.0.2.4-192.0.2.6"},
		{"apart", "192.0.2.6/32 192.0.2.4/32", "192.0.2.4 192.0.2.6"},
		{"last", "255.255.255.255/32 255.255.255.254/32", "255.255.255.254/31"},
		{"everything", "0.0.0.0/0 10.0.0.0/8", "0.0.0.0/0"},
		{"IPv6 left out", "192.0.2.0/24 2001:db8::/32", "192.0.2.0/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var prefixes []netip.Prefix
			for p := range strings.FieldsSeq(tt.prefixes) {
				prefixes = append(prefixes, netip.MustParsePrefix(p))
			}
			s := &Set{Key: []Type{Addr4}, Interval: true}
			var got []string
			for _, e := range intervals(prefixes, configs.IPv4) {
				got = append(got, s.ElementText(e))
			}
			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// TestIntervalsHoldTheSame compares the intervals with the prefixes that they were made of, address by address, in a
// space so small that prefixes overlap and touch a lot.
func TestIntervalsHoldTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	base := netip.MustParseAddr("2001:db8::")
	for range 300 {
		var prefixes []netip.Prefix
		for range random.IntN(12) {
			b := base.As16()
			b[15] = byte(random.Uint32())
			p := netip.PrefixFrom(netip.AddrFrom16(b), 120+random.IntN(9)).Masked()
			prefixes = append(prefixes, p)
		}
		elements := intervals(prefixes, configs.IPv6)
		previous := ""
		for _, e := range elements {
			if e.Key <= previous || e.End < e.Key {
				t.Fatalf("%v: intervals overlap, touch or are not sorted: %q", prefixes, elements)
			}
			previous = e.End
		}
		for a, n := base, 0; n < 256; a, n = a.Next(), n+1 {
			in, want := false, false
			for _, e := range elements {
				in = in || e.Key <= addrBytes(a) && addrBytes(a) <= e.End
			}
			for _, p := range prefixes {
				want = want || p.Contains(a)
			}
			if in != want {
				t.Fatalf("%v: %s is in an interval: %t, want %t", prefixes, a, in, want)
			}
		}
	}
}
