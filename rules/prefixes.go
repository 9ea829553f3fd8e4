package rules

import (
	"net/netip"
	"slices"

	"ftpvip/configs"
)

// intervals makes the elements of an interval set of one family: prefixes that overlap or touch become one, since
// the kernel refuses overlaps and every element costs memory.
func intervals(prefixes []netip.Prefix, f configs.Family) []Element {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if configs.FamilyOf(p.Addr()) == f {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	type span struct{ first, last netip.Addr }
	spans := make([]span, 0, len(sorted))
	for _, p := range sorted {
		last := lastOf(p)
		if n := len(spans) - 1; n >= 0 && (!spans[n].last.Less(p.Addr()) || spans[n].last.Next() == p.Addr()) {
			if spans[n].last.Less(last) {
				spans[n].last = last
			}
			continue
		}
		spans = append(spans, span{p.Addr(), last})
	}
	elements := make([]Element, len(spans))
	for i, s := range spans {
		elements[i] = Element{Key: addrBytes(s.first), End: addrBytes(s.last)}
	}
	return elements
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				b[i] |= 0x80 >> bit
			}
		}
	}
	last, _ := netip.AddrFromSlice(b) // of a length that an address gave
	return last
}

// prefix is the element's range as one prefix, where the set is a list of addresses and the range is one. nft
// prints it so.
func (s *Set) prefix(e Element) (netip.Prefix, bool) {
	if !s.Interval || len(s.Key) != 1 || e.End == "" || e.End == e.Key {
		return netip.Prefix{}, false
	}
	first, ok := netip.AddrFromSlice([]byte(e.Key))
	if !ok {
		return netip.Prefix{}, false
	}
	same := 0
	for same < first.BitLen() && bitOf(e.Key, same) == bitOf(e.End, same) {
		same++
	}
	p := netip.PrefixFrom(first, same)
	return p, p.Masked().Addr() == first && addrBytes(lastOf(p)) == e.End
}

func bitOf(s string, i int) byte { return s[i/8] >> (7 - i%8) & 1 }
