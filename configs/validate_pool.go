package configs

import (
	"fmt"
	"net/netip"
)

// The words of source_group that are no VIP's name.
const (
	groupAuto = "auto"
	groupAll  = "all"
	groupOff  = "off"
)

// MaxBackends is what the biggest slot table, 65521 places, holds with at least 20 for each backend.
const MaxBackends = 65521 / 20

// Defaults of a pool.
const (
	defaultPort       = 21 // of the backends of a pool that no VIP uses
	defaultWeight     = 10
	defaultTier       = 1
	defaultMinMembers = 1
)

// rawPool has the keys of a pool that later checks come back to.
type rawPool struct {
	name        field[string]
	snat        items[field[string]]
	sourceGroup field[string]
	fallback    field[string]
	backends    items[rawBackend]
	health      rawHealth
}

// pool checks what can be judged without the VIPs. The rest waits for poolDefaults and its neighbours.
func (c *checker) pool(s *section) (raw rawPool) {
	var p Pool
	raw.name = s.text("name", wantName)
	p.Name = c.name(raw.name, "add it, such as: name: farm")
	scheduler := s.text("scheduler", list(schedulers))
	p.Scheduler = choose(c.report, scheduler, schedulers, SourceHash)
	var isList bool
	raw.snat, isList = s.oneOrMore("snat", wantSNAT)
	p.SNAT = c.snat(raw.snat, isList)
	raw.sourceGroup = s.text("source_group", wantSourceGroup)
	minMembers := s.number("min_members", membersBounds)
	p.MinMembers = or(minMembers, defaultMinMembers)
	raw.fallback = s.text("fallback", wantFallback)
	p.SlowStart = c.duration(s.duration("slow_start", slowStartSpan), slowStartSpan)
	p.Affinity = c.affinity(s.duration("affinity", affinitySpan), scheduler, p.Scheduler)
	raw.backends = sections(s, "backends", wantBackends, func(s *section) rawBackend {
		b, raw := c.backend(s)
		p.Backends = append(p.Backends, b)
		return raw
	})
	s.section("health", func(s *section) { p.Health, raw.health = c.health(s) })

	c.required(raw.backends.pos, raw.backends.state, wantBackends, "add the key backends with at least one server")
	switch n := len(p.Backends); {
	case raw.backends.state == given && n == 0:
		c.at(raw.backends.pos, "the list is empty", wantBackends, "add a backend, or delete the pool")
	case n > MaxBackends:
		c.at(raw.backends.pos, fmt.Sprintf("%d backends are too many", n), fmt.Sprintf("1..%d", MaxBackends),
			"split the pool")
	}
	c.minMembers(minMembers, p)
	c.cfg.Pools = append(c.cfg.Pools, p)
	return raw
}

// snat takes one of two words, an address, or a list of addresses.
func (c *checker) snat(l items[field[string]], isList bool) SNAT {
	switch {
	case l.state != given:
		return SNAT{Mode: SNATNone}
	case isList && len(l.all) == 0:
		c.at(l.pos, "the list is empty", wantSNAT, "write none, or an address")
		return SNAT{Mode: SNATNone}
	case !isList && l.all[0].val == string(SNATNone):
		return SNAT{Mode: SNATNone}
	case !isList && l.all[0].val == string(SNATMasquerade):
		return SNAT{Mode: SNATMasquerade}
	}
	return SNAT{Mode: SNATAddress, Addrs: c.addrs(l, useSNAT)}
}

// poolDefaults fills in what depends on the VIPs that use a pool, and checks what must suit them.
func (c *checker) poolDefaults() {
	for i := range c.cfg.Pools {
		p, raw := &c.cfg.Pools[i], c.raw.pools.all[i]
		c.healthCheck(p, raw)
		c.snatFamilies(p, raw)
		c.backendPorts(p, raw)
	}
	c.snatOnBackends()
}

// snatFamilies reports the families for which clients would stay visible although the pool is one-arm.
func (c *checker) snatFamilies(p *Pool, raw rawPool) {
	if p.SNAT.Mode != SNATAddress || !sound(raw.snat, p.SNAT.Addrs) {
		return
	}
	for _, f := range Families {
		for _, v := range p.VIPs {
			if v.Addrs.Of(f).IsValid() && !p.SNAT.Addrs.Of(f).IsValid() {
				c.at(raw.snat.pos, fmt.Sprintf("gives no IPv%d address, but VIP %s has one", f, v.Name), wantSNAT,
					fmt.Sprintf("add an IPv%d address: [ADDRESS, ADDRESS]", f))
				break
			}
		}
	}
}

// snatOnBackends reports SNAT addresses that are a backend's: its answers would stay with it.
func (c *checker) snatOnBackends() {
	backends := make(map[netip.Addr]Ref)
	for _, p := range c.cfg.Pools {
		for _, b := range p.Backends {
			for _, a := range b.Addrs.All() {
				if _, ok := backends[a]; !ok {
					backends[a] = Ref{p.Name, b.Name}
				}
			}
		}
	}
	for i, p := range c.cfg.Pools {
		for _, a := range p.SNAT.Addrs.All() {
			if ref, ok := backends[a]; ok {
				c.at(where(c.raw.pools.all[i].snat, a), fmt.Sprintf("is the address of backend %s", ref), wantSNAT,
					"use an address of this host")
			}
		}
	}
}
