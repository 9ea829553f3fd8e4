package probe

import (
	"fmt"
	"net/netip"
)

// portArgument is h1,h2,h3,h4,p1,p2.
func portArgument(at netip.AddrPort) string {
	a := at.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff)
}

// eprtArgument is |1|address|port| for IPv4, |2| for IPv6 (RFC 2428 section 2).
func eprtArgument(at netip.AddrPort) string {
	family := 2
	if at.Addr().Is4() {
		family = 1
	}
	return fmt.Sprintf("|%d|%s|%d|", family, at.Addr(), at.Port())
}
