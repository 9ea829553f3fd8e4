package configs

import (
	"hash/fnv"
	"net/netip"
)

// WayTag is the upper half of all tags, so that no other program's socket has one by chance: "ft".
const WayTag = 0x6674 << 16

// WayVIP is the VIP by which checks with `through: vip` reach the pool: the first that has the family, of those that the
// pool may serve, also as a fallback. It is invalid if there is none.
func (p *Pool) WayVIP(f Family) netip.AddrPort {
	for _, v := range p.VIPs {
		if v.Addrs.Of(f).IsValid() {
			return netip.AddrPortFrom(v.Addrs.Of(f), v.Port)
		}
	}
	return netip.AddrPort{}
}

// WayTags gives each backend of a pool with `through: vip` the tag of the sockets that are to reach it. A tag depends on
// the names of pool and backend alone, unless two share one by chance.
func (c *Config) WayTags() map[Ref]uint32 {
	taken := make(map[uint16]bool)
	tags := make(map[Ref]uint32)
	for i := range c.Pools {
		p := &c.Pools[i]
		if p.Health.Through != ThroughVIP {
			continue
		}
		for _, b := range p.Backends {
			ref := Ref{Pool: p.Name, Backend: b.Name}
			h := fnv.New32a()
			_, _ = h.Write([]byte(ref.String())) // never fails
			sum := h.Sum32()
			tag := uint16(sum) ^ uint16(sum>>16)
			for tag == 0 || taken[tag] {
				tag++
			}
			taken[tag] = true
			tags[ref] = WayTag | uint32(tag)
		}
	}
	return tags
}
