package rules

import "ftpvip/configs"

// checkWays lists where checks go that go through a VIP: to the very backend that they are for, member or not.
func checkWays(cfg *configs.Config, f configs.Family) []Element {
	var ways []Element
	tags := cfg.WayTags()
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if p.Health.Through != configs.ThroughVIP {
			continue
		}
		via := p.WayVIP(f)
		if !via.IsValid() {
			continue
		}
		for _, b := range p.Backends {
			if a := b.Addrs.Of(f); a.IsValid() {
				tag := tags[configs.Ref{Pool: p.Name, Backend: b.Name}]
				ways = append(ways, Element{
					Key: hostBytes(tag) + addrPortBytes(via.Addr(), via.Port()), Data: addrPortBytes(a, b.Port),
				})
			}
		}
	}
	return ways
}

// toBackends finds the backend of a new connection: by its VIP and slot, or by the slice that its port is in.
func toBackends(f configs.Family) [][]Statement {
	destination := Key{f, Destination}
	return [][]Statement{
		{MatchTCP{}, VerdictMap{destination, setName(stemVIPs, f)}},
		{MatchTCP{}, DNATMap{destination, setName(stemPassive, f), false}},
	}
}
