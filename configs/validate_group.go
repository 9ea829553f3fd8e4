package configs

import (
	"fmt"
	"net/netip"
	"slices"
)

// sourceGroups resolves each pool's source_group to a VIP's name, and reports backends whose own connections
// would have to leave with two sources.
func (c *checker) sourceGroups() {
	for i := range c.cfg.Pools {
		p := &c.cfg.Pools[i]
		p.SourceGroup = c.sourceGroup(c.raw.pools.all[i].sourceGroup, p.Name, c.users(i))
	}

	type source struct {
		addr netip.Addr
		pool string
		at   pos
	}
	sources := make(map[netip.Addr]source)
	for i, p := range c.cfg.Pools {
		if p.SourceGroup == "" {
			continue
		}
		vip := c.cfg.VIP(p.SourceGroup)
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

// sourceGroup returns the name of the VIP that a pool's backends leave with, or "".
func (c *checker) sourceGroup(f field[string], pool string, users []VIP) string {
	names := make([]string, 0, len(users))
	for _, v := range users {
		if v.Name != "" {
			names = append(names, v.Name)
		}
	}
	switch word := or(f, groupAuto); {
	case word == groupOff:
		return ""
	case word == groupAuto:
		if len(users) == 1 {
			return users[0].Name
		}
		return ""
	case slices.Contains(names, word):
		return word
	case c.cfg.VIP(word) != nil && word != "":
		c.at(f.pos, fmt.Sprintf("VIP %s does not use pool %s", word, pool), wantSourceGroup,
			"name a VIP whose pool is this one, or use auto")
	default:
		words := append([]string{groupAuto, groupOff}, names...)
		c.at(f.pos, "no VIP has that name", wantSourceGroup, guess(word, words, "use auto, or correct the name"))
	}
	return ""
}
