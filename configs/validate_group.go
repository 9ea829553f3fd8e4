package configs

import (
	"fmt"
	"net/netip"
)

// sourceGroups resolves each pool's source_group, and reports backends whose own connections
// would have to leave with two sources.
func (c *checker) sourceGroups() {
	for i := range c.cfg.Pools {
		p := &c.cfg.Pools[i]
		p.SourceGroup, p.SourceAll = c.sourceGroup(c.raw.pools.all[i].sourceGroup, p)
	}

	type source struct {
		addr netip.Addr
		pool string
		at   pos
	}
	sources := make(map[netip.Addr]source)
	for i, p := range c.cfg.Pools {
		vip := p.SourceGroup
		if vip == nil {
			continue
		}
		for j, b := range p.Backends {
			for _, a := range b.Addrs.All() {
				s := source{vip.Addrs.Of(FamilyOf(a)), p.Name, where(c.raw.pools.all[i].backends.all[j].addresses, a)}
				if !s.addr.IsValid() {
					continue
				}
				first, ok := sources[a]
				if !ok {
					sources[a] = s
				} else if first.addr != s.addr {
					c.at(s.at, fmt.Sprintf("is also in pool %s (line %d), whose source group is another address: %s, here %s",
						first.pool, first.at.line, first.addr, s.addr), "one source address for each backend",
						"set 'source_group: off' in one of the two pools")
				}
			}
		}
	}
}

// sourceGroup returns the VIP that a pool's backends leave with, or nil, and whether with all connections that they open.
func (c *checker) sourceGroup(f field[string], p *Pool) (vip *VIP, all bool) {
	word := or(f, groupAuto)
	switch word {
	case groupOff:
		return nil, false
	case groupAuto, groupAll:
		if len(p.VIPs) == 1 && p.VIPs[0].Name != "" {
			return p.VIPs[0], word == groupAll
		}
		if word == groupAll {
			c.at(f.pos, fmt.Sprintf("%d VIPs use pool %s", len(p.VIPs), p.Name), wantSourceGroup, "name one of the VIPs, or use auto")
		}
		return nil, false
	}
	words := []string{groupAuto, groupAll, groupOff}
	for _, v := range p.VIPs {
		if v.Name == word && word != "" {
			return v, true
		}
		if v.Name != "" {
			words = append(words, v.Name)
		}
	}
	if word != "" && c.cfg.vip(word) != nil {
		c.at(f.pos, fmt.Sprintf("VIP %s does not use pool %s", word, p.Name), wantSourceGroup,
			"name a VIP whose pool is this one, or use auto")
	} else {
		c.at(f.pos, "no VIP has that name", wantSourceGroup, guess(word, words, "use auto, or correct the name"))
	}
	return nil, false
}
