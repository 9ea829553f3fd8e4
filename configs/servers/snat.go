package servers

import (
	"net/netip"
	"slices"

	"ftpvip/configs"
)

// How long the text of an address can be. Clients come from where addresses are routed: in IPv6 from 2000::/3 or fc00::/7.
var lengths = map[configs.Family]struct{ first, last int }{
	configs.IPv4: {len("1.1.1.1"), len("111.111.111.111")},
	configs.IPv6: {len("2000::"), len("2000:1000:1000:1000:1000:1000:1000:1000")},
}

// clientPort is a text of a port as clients choose it: 32768 and above, the shorter ones.
var clientPort = map[configs.Family]string{configs.IPv4: "128,0", configs.IPv6: "32768"}

// leastPort is the shortest text of a port that may be announced instead.
var leastPort = map[configs.Family]string{configs.IPv4: "4,0", configs.IPv6: "1024"}

// lookForLongAddresses warns of an SNAT address that is longer than most clients' addresses: PORT and EPRT keep their length, so
// it does not fit in the place of a shorter one. A port of fewer digits makes up for a little.
func (a *Advice) lookForLongAddresses(cfg *configs.Config) {
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		for _, f := range configs.Families {
			own := p.SNAT.Addrs.Of(f)
			if !own.IsValid() || !slices.ContainsFunc(p.VIPs, func(v *configs.VIP) bool { // of these alone the commands are read
				return v.Application == configs.FTPControl && v.Addrs.Of(f).IsValid()
			}) {
				continue
			}
			all := lengths[f].last - lengths[f].first + 1
			if n := tooShort(f, own); 2*n > all {
				a.warn("pool %s: the snat address %s has %d characters, more than most clients' addresses: of the %d lengths that "+
					"an IPv%d client's address can have (%d to %d characters) %d are too short for it, and PORT and EPRT of such "+
					"clients will be refused; use an address of %d characters or fewer, or let clients use passive mode",
					p.Name, own, len(own.String()), all, f, lengths[f].first, lengths[f].last, n, fits(f))
			}
		}
	}
}

// tooShort is how many lengths of clients' addresses have no room for our own.
func tooShort(f configs.Family, own netip.Addr) int {
	saved := len(clientPort[f]) - len(leastPort[f])
	return max(len(own.String())-saved-lengths[f].first, 0)
}

// fits is the length up to which at most every fourth length of a client's address is too short.
func fits(f configs.Family) int {
	all := lengths[f].last - lengths[f].first + 1
	return lengths[f].first + all/4 + len(clientPort[f]) - len(leastPort[f])
}
