package kernel

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// isList reports whether a set is an interval set of single addresses. The kernel keeps such a set in a tree of
// ends: a range is an element for its first address, and one with NFT_SET_ELEM_INTERVAL_END for the address after
// its last (net/netfilter/nft_set_rbtree.c). Ranges within a concatenation have both ends in one element.
func isList(s *rules.Set) bool { return s.Interval && len(s.Key) == 1 }

// rangeEnds appends the two elements of a range. The range that ends with the last address of all has no end.
func rangeEnds(list []byte, e *rules.Element) []byte {
	list = element(list, &rules.Element{Key: e.Key, Data: e.Data})
	last, _ := netip.AddrFromSlice([]byte(e.End)) // a set of addresses
	if after := last.Next(); after.IsValid() {
		list = endElement(list, string(after.AsSlice()))
	}
	return list
}

// endElement appends an element that ends a range.
func endElement(list []byte, key string) []byte {
	flags := attr(nil, unix.NFTA_SET_ELEM_FLAGS, "\x00\x00\x00\x01") // NFT_SET_ELEM_INTERVAL_END
	flags = attrNested(flags, unix.NLA_F_NESTED|unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE, key)
	return attr(list, unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, string(flags))
}

// readRanges puts the ends together again, whatever the order in which the kernel lists them.
func readRanges(elements []nftables.SetElement) []rules.Element {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if c := slices.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return cmp.Compare(endsFirst(a), endsFirst(b)) // where one range ends another may begin
	})
	ranges := make([]rules.Element, 0, len(elements)/2+1)
	open := false
	for i := range elements {
		e := &elements[i]
		switch {
		case !e.IntervalEnd:
			ranges = append(ranges, rules.Element{Key: string(e.Key), End: lastOfAll(len(e.Key))})
			open = true
		case open:
			ranges[len(ranges)-1].End = previous(e.Key)
			open = false
		}
	}
	return ranges
}

func endsFirst(e nftables.SetElement) int {
	if e.IntervalEnd {
		return 0
	}
	return 1
}

func lastOfAll(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0xff
	}
	return string(b)
}

// previous is the address before that one.
func previous(key []byte) string {
	a, _ := netip.AddrFromSlice(key) // the kernel's key of a set of addresses
	return string(a.Prev().AsSlice())
}
