package rules

import (
	"slices"

	"ftpvip/configs"
)

// Build returns the table for a configuration and a state. Carrier is the name of the conntrack
// helper in the kernel that control connections carry: CTHelperName or SaneHelperName.
func Build(cfg *configs.Config, state State, carrier string) *Ruleset {
	r := &Ruleset{}
	for _, f := range configs.Families {
		r.Helpers = append(r.Helpers, CTHelper{Name: setName(stemHelper, f), Family: f, Type: carrier})
		r.Sets = append(r.Sets, familySets(cfg, f)...)
	}
	for i := range cfg.Pools {
		r.addPool(&cfg.Pools[i], state)
	}
	r.addGuards(cfg)
	r.Chains = append(r.Chains, inspectChains(cfg)...)
	r.Chains = append(r.Chains, labelsChain())
	r.Chains = append(r.Chains, baseChains()...)
	r.addOffload(cfg)
	return r
}

// BuildSlots returns the part of the table that a change of these backends' state can change: the slot tables of their pools
// and of pools that fall back on these, with their clients. No backends stands for all.
func BuildSlots(cfg *configs.Config, state State, backends []configs.Ref) *Ruleset {
	r := &Ruleset{}
	for i := range cfg.Pools {
		if len(backends) == 0 || slices.ContainsFunc(cfg.Pools[i].Chain(), func(p *configs.Pool) bool {
			return slices.ContainsFunc(backends, func(b configs.Ref) bool { return b.Pool == p.Name })
		}) {
			r.addPool(&cfg.Pools[i], state)
		}
	}
	r.Chains = nil
	return r
}

// addPool adds the sets and chains of one pool.
func (r *Ruleset) addPool(p *configs.Pool, state State) {
	families := poolFamilies(p)
	if len(families) == 0 {
		return // no VIP uses it
	}
	chain, learn := &Chain{Name: poolChain(p.Name)}, &Chain{Name: learnChain(p.Name)}
	for _, f := range families {
		slots := slotTable(p, state, f)
		r.Sets = append(r.Sets, slots)
		if p.Affinity > 0 {
			a, clients, ports := affinity(p, f)
			r.Affinity = append(r.Affinity, a)
			r.Sets = append(r.Sets, clients, ports)
			chain.Rules = append(chain.Rules, rule(MatchFamily{f}, MatchTCP{}, DNATKnown{f, a.Clients, a.Ports}))
			learn.Rules = append(learn.Rules, rule(
				MatchFamily{f}, MatchTCP{}, Remember{f, a.Clients, false}, Remember{f, a.Ports, true}))
		}
		chain.Rules = append(chain.Rules, rule(
			MatchFamily{f}, MatchTCP{},
			DNATSlot{Family: f, Scheduler: p.Scheduler, Slots: slots.Slots, Map: slots.Name}))
	}
	r.Chains = append(r.Chains, chain)
	if len(learn.Rules) > 0 {
		r.Chains = append(r.Chains, learn)
	}
}

func rule(statements ...Statement) Rule { return Rule{Statements: statements} }

// poolFamilies lists the families in which connections go to the pool's chain: those of VIPs whose own pool it is.
func poolFamilies(p *configs.Pool) []configs.Family {
	var families []configs.Family
	for _, f := range configs.Families {
		if slices.ContainsFunc(p.VIPs, func(v *configs.VIP) bool { return v.Pool == p && v.Addrs.Of(f).IsValid() }) {
			families = append(families, f)
		}
	}
	return families
}

// familySets makes the sets and maps that exist once for each family.
func familySets(cfg *configs.Config, f configs.Family) []*Set {
	addr := addrType(f)
	endpoint := []Type{addr, Service}
	set := func(stem string, key, data []Type, interval bool) *Set {
		return &Set{Name: setName(stem, f), Key: key, Data: data, Interval: interval}
	}
	var (
		vips       = set(stemVIPs, endpoint, []Type{Verdict}, false)
		control    = set(stemControl, endpoint, nil, false)
		pass       = set(stemPass, endpoint, nil, false)
		reset      = set(stemReset, endpoint, nil, false)
		masquerade = set(stemMasquerade, endpoint, nil, true)
		snat       = set(stemSNAT, endpoint, []Type{addr}, true)
		source     = set(stemSource, []Type{addr}, []Type{addr}, false)
		active     = set(stemActive, []Type{addr}, []Type{addr}, false)
		passive    = set(stemPassive, endpoint, []Type{addr}, true)
		checks     = set(stemChecks, []Type{Tag, addr, Service}, endpoint, false)
		learn      = set(stemLearn, endpoint, []Type{Verdict}, false)
	)
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		vip := v.Addrs.Of(f)
		if !vip.IsValid() {
			continue
		}
		pool := v.Pool
		key := addrPortBytes(vip, v.Port)
		vips.add(Element{Key: key, Goto: poolChain(pool.Name)})
		reset.add(Element{Key: key})
		if pool.Affinity > 0 {
			learn.add(Element{Key: key, Goto: learnChain(pool.Name)})
		}
		if v.Application == configs.FTPControl {
			control.add(Element{Key: key})
			if v.OnHelperDown == configs.Pass {
				pass.add(Element{Key: key})
			}
		}
		ranges := []Element{{Key: key, End: key}}
		for _, p := range pool.Chain() {
			for _, b := range ofFamily(p, f) {
				if b.PassivePorts.IsZero() {
					continue
				}
				slice := Element{Key: addrPortBytes(vip, b.PassivePorts.First), End: addrPortBytes(vip, b.PassivePorts.Last)}
				ranges = append(ranges, slice)
				slice.Data = addrBytes(b.Addrs.Of(f))
				passive.add(slice)
			}
		}
		for _, e := range ranges {
			switch pool.SNAT.Mode {
			case configs.SNATMasquerade:
				masquerade.add(e)
			case configs.SNATAddress:
				e.Data = addrBytes(pool.SNAT.Addrs.Of(f))
				snat.add(e)
			case configs.SNATNone:
			}
		}
	}
	source.Elements, active.Elements = sourceGroups(cfg, f, true), sourceGroups(cfg, f, false)
	checks.Elements = checkWays(cfg, f)
	sets := append([]*Set{vips, control, pass, reset, masquerade, snat, source, active, passive, checks, learn}, guardMaps(cfg, f)...)
	sets = append(sets, serverSet(cfg, f))
	sets = append(sets, hairpinSets(cfg, f)...)
	for _, s := range sets {
		sortElements(s.Elements)
		s.Elements = slices.Compact(s.Elements) // two VIPs of one address share slices and source groups
	}
	return sets
}

// add appends an element.
func (s *Set) add(e Element) { s.Elements = append(s.Elements, e) }

// sourceGroups lists backend address : VIP for one family, by pool: of source groups of all connections, or of the others.
func sourceGroups(cfg *configs.Config, f configs.Family, all bool) []Element {
	seen := map[Element]bool{}
	var groups []Element
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		vip := p.SourceGroup
		if vip == nil || p.SourceAll != all || !vip.Addrs.Of(f).IsValid() {
			continue
		}
		for _, b := range p.Backends {
			if !b.Addrs.Of(f).IsValid() {
				continue
			}
			e := Element{Key: addrBytes(b.Addrs.Of(f)), Data: addrBytes(vip.Addrs.Of(f))}
			if !seen[e] {
				seen[e] = true
				groups = append(groups, e)
			}
		}
	}
	return groups
}

// inspectChains queue the packets of control connections for the helper. They are separate chains, so that other packets of the
// host pass with one look-up.
func inspectChains(cfg *configs.Config) []*Chain {
	first := cfg.Helper.FirstQueue
	last := first + uint16(cfg.Helper.Queues-1) // validated: 1..64
	var chains []*Chain
	for _, f := range configs.Families {
		original := Key{f, OriginalDestination}
		inspect := Goto{setName(stemInspect, f)}
		// What ends a connection or points into its data has no payload, and must not overtake what has.
		chains = append(chains, &Chain{Name: setName(stemSelect, f), Rules: []Rule{
			rule(MatchPayload{}, inspect),
			rule(MatchTCP{}, MatchFlags{Flags: FIN | RST | URG}, MatchTracked{}, inspect),
		}})
		chains = append(chains, &Chain{Name: inspect.Chain, Rules: []Rule{
			rule(MatchTCP{}, MatchOpaque{}, MatchTLSData{}, MatchFlags{Flags: FIN | SYN | RST | URG, None: true}, Accept{}),
			rule(MatchFamily{f}, MatchTCP{}, MatchInSet{original, setName(stemPass, f)}, Queue{First: first, Last: last, Bypass: true}),
			rule(Queue{First: first, Last: last}),
		}})
	}
	return chains
}

// labelsChain makes the kernel give conntrack entries room for labels, which it does only where some rule sets one
// (net/netfilter/nft_ct.c, nft_ct_set_init): on a stock 6.1 a rule that only looks at labels is not enough. The helper
// sets the label; no packet comes here.
func labelsChain() *Chain {
	return &Chain{Name: chainLabels, Rules: []Rule{rule(SetOpaque{})}}
}
