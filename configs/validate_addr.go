package configs

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// Where an address is used decides what it may be.
type addrUse struct {
	want   string
	words  []string // what else may stand in its place
	v4Only bool     // 227 replies have no room for more
	remote bool     // only named in replies, so it may be a loopback address: servers in containers say 127.0.0.1
}

var (
	useAddress   = addrUse{want: wantAddresses}
	useSNAT      = addrUse{want: wantSNAT, words: []string{string(SNATNone), string(SNATMasquerade)}}
	useAdvertise = addrUse{want: wantAdvertise, v4Only: true}
	useAlias     = addrUse{want: wantAliases, v4Only: true, remote: true}
)

// addr checks one address. It is invalid where the text is wrong, which has been reported then.
func (c *checker) addr(f field[string], use addrUse) netip.Addr {
	if f.state != given {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(f.val)
	if err != nil {
		c.at(f.pos, "is not an IP address", use.want, addressRemedy(f.val, use))
		return netip.Addr{}
	}
	if message, remedy := unfit(a, use); message != "" {
		c.at(f.pos, message, use.want, remedy)
		return netip.Addr{}
	}
	return a
}

// addressRemedy says how to correct a text that is not an address.
func addressRemedy(text string, use addrUse) string {
	if p, err := netip.ParsePrefix(text); err == nil {
		return "write it without the prefix length: " + p.Addr().String()
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return "write it without the port: " + ap.Addr().String()
	}
	switch {
	case slices.Contains(use.words, text):
		return "write the word without brackets"
	case dotted.MatchString(text):
		return "write four numbers of 0..255, without leading zeros"
	case len(use.words) > 0:
		return guess(text, use.words, "use one of the words, or an address such as 192.0.2.10")
	}
	return "write an address such as 192.0.2.10; host names are not looked up"
}

// dotted is what was meant to be an IPv4 address.
var dotted = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// unfit says why an address cannot serve, and what to do.
func unfit(a netip.Addr, use addrUse) (message, remedy string) {
	switch {
	case a.Zone() != "":
		return "has a zone", "use a global or unique local address, without %" + shortened(a.Zone())
	case a.Is4In6():
		return "is an IPv4 address in IPv6 form", "write " + a.Unmap().String()
	case a.IsUnspecified():
		return "is the unspecified address", "write the address itself"
	case a.IsMulticast():
		return "is a multicast address", "use a unicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address", "use a unicast address"
	case a.IsLoopback() && !use.remote:
		return "is a loopback address", "use an address that other hosts can reach"
	case a.Is6() && a.IsLinkLocalUnicast():
		return "is a link-local address", "use a global or unique local address"
	case a.Is6() && use.v4Only:
		return "is an IPv6 address", "use an IPv4 address; PASV replies name no other"
	}
	return "", ""
}

// addrs checks a list with at most one address of each family.
func (c *checker) addrs(l items[field[string]], use addrUse) Addrs {
	var as Addrs
	for _, f := range l.all {
		a := c.addr(f, use)
		if !a.IsValid() {
			continue
		}
		slot := &as.V4
		if FamilyOf(a) == IPv6 {
			slot = &as.V6
		}
		if slot.IsValid() {
			c.at(f.pos, fmt.Sprintf("is the second IPv%d address, after %s", FamilyOf(a), *slot), use.want,
				"keep one of the two")
			continue
		}
		*slot = a
	}
	return as
}

// ownAddrs checks the addresses of a VIP or backend: required, and not empty.
func (c *checker) ownAddrs(l items[field[string]]) Addrs {
	c.required(l.pos, l.state, wantAddresses, "add it, such as: addresses: [192.0.2.10]")
	if l.state == given && len(l.all) == 0 {
		c.at(l.pos, "the list is empty", wantAddresses, "add an address")
	}
	return c.addrs(l, useAddress)
}

// where returns the place of an address in a list that has been checked.
func where(l items[field[string]], a netip.Addr) pos {
	for _, f := range l.all {
		if got, err := netip.ParseAddr(f.val); err == nil && got == a {
			return f.pos
		}
	}
	return l.pos
}

// sound reports whether every address of a list could be read.
func sound(l items[field[string]], as Addrs) bool {
	return l.state == given && len(l.all) > 0 && len(l.all) == len(as.All())
}
