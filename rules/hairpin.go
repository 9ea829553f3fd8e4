package rules

import "ftpvip/configs"

// A backend that is a client of a VIP may be sent to another backend of its own network, or to itself. In two-arm mode the reply
// would go to it directly, past this host, and be refused. So such clients are masqueraded, like those of one-arm pools.

// hairpinSets lists the backends of two-arm pools, and the addresses of the VIPs, of one family.
func hairpinSets(cfg *configs.Config, f configs.Family) []*Set {
	hairpin := &Set{Name: setName(stemHairpin, f), Key: []Type{addrType(f)}}
	addresses := &Set{Name: setName(stemAddresses, f), Key: []Type{addrType(f)}}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if p.SNAT.Mode != configs.SNATNone {
			continue
		}
		for _, b := range p.Backends {
			if addr := b.Addrs.Of(f); addr.IsValid() {
				hairpin.add(Element{Key: addrBytes(addr)})
			}
		}
	}
	for i := range cfg.VIPs {
		if addr := cfg.VIPs[i].Addrs.Of(f); addr.IsValid() {
			addresses.add(Element{Key: addrBytes(addr)})
		}
	}
	return []*Set{hairpin, addresses}
}

// hairpinRule stands before source groups: this host's address in the backends' network is nearer, and mostly
// shorter than the VIP, so that it fits where PORT and EPRT have to name it.
func hairpinRule(f configs.Family) []Statement {
	return []Statement{
		MatchTCP{}, MatchDNATed{}, MatchInSet{Key{f, Source}, setName(stemHairpin, f)},
		MatchInSet{Key{f, OriginalAddress}, setName(stemAddresses, f)}, Masquerade{},
	}
}
