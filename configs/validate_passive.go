package configs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// slice is a backend's passive slice on one address.
type slice struct {
	PortRange
	ref  Ref
	addr netip.Addr // the server's
	snat SNAT       // of its pool
	at   pos
}

// shared reports whether two backends are one server that may have one slice: as where a pool serves port 21 and another
// port 990 (implicit TLS) of an address.
func (s slice) shared(o slice) bool {
	return s.PortRange == o.PortRange && s.addr == o.addr && s.snat == o.snat
}

// passiveSlices checks that no port of an address belongs to two backends, or to a backend and a VIP. VIPs that
// share an address share its ports, also where their pools differ, and so do the pools along a chain of fallbacks.
func (c *checker) passiveSlices() {
	type space struct {
		slices []slice
		vips   []VIP
		pools  []*Pool
	}
	spaces := make(map[netip.Addr]*space)
	var order []netip.Addr // so that messages come in the same order every time
	for _, v := range c.cfg.VIPs {
		for _, a := range v.Addrs.All() {
			s := spaces[a]
			if s == nil {
				s = &space{}
				spaces[a] = s
				order = append(order, a)
			}
			s.vips = append(s.vips, v)
			for _, p := range v.Pool.Chain() {
				if !slices.Contains(s.pools, p) {
					s.pools = append(s.pools, p)
					s.slices = append(s.slices, c.slicesOf(p, FamilyOf(a))...)
				}
			}
		}
	}
	for _, a := range order {
		c.disjoint(spaces[a].slices)
		c.offVIPPorts(spaces[a].slices, spaces[a].vips)
	}
	for i, p := range c.cfg.Pools { // also those that no VIP uses
		for _, f := range Families {
			c.disjoint(poolSlices(p, c.raw.pools.all[i], f))
		}
	}
}

func (c *checker) slicesOf(p *Pool, f Family) []slice {
	_, raw := c.lookup(p.Name)
	return poolSlices(*p, *raw, f)
}

func poolSlices(p Pool, raw rawPool, f Family) []slice {
	var all []slice
	for i, b := range p.Backends {
		if !b.PassivePorts.IsZero() && b.Addrs.Of(f).IsValid() {
			all = append(all, slice{
				PortRange: b.PassivePorts, ref: Ref{p.Name, b.Name}, addr: b.Addrs.Of(f), snat: p.SNAT,
				at: raw.backends.all[i].passivePorts.pos,
			})
		}
	}
	return all
}

// disjoint reports each slice that shares a port with one that starts earlier.
func (c *checker) disjoint(all []slice) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b slice) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(all); i++ {
		// widest is the earlier slice that reaches furthest.
		widest, s := all[i-1], all[i]
		if s.Overlaps(widest.PortRange) && !s.shared(widest) {
			earlier, later := widest, s
			if earlier.at.line > later.at.line {
				earlier, later = later, earlier
			}
			c.at(later.at, fmt.Sprintf("overlaps %d-%d of backend %s on line %d", earlier.First, earlier.Last,
				earlier.ref, earlier.at.line), "ranges that share no port on one VIP address",
				remedy(earlier, later))
		}
		if widest.Last > s.Last {
			all[i] = widest
		}
	}
}

// remedy says what to do about slices that overlap.
func remedy(a, b slice) string {
	switch {
	case a.addr != b.addr:
		return "move one of the two ranges, and set the same on the server"
	case a.snat != b.snat:
		return "it is the same server: give both pools the same snat, or move one of the two ranges"
	}
	return "it is the same server: give it the same range in both places, or move one of the two"
}

// offVIPPorts reports slices that hold the port of a VIP on their address.
func (c *checker) offVIPPorts(all []slice, vips []VIP) {
	for _, s := range all {
		for _, v := range vips {
			if s.Contains(v.Port) {
				c.at(s.at, fmt.Sprintf("contains port %d of %s", v.Port, title(v.Name)), wantPassive,
					"leave that port out of the range")
			}
		}
	}
}
