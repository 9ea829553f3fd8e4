package rules

import (
	"cmp"
	"slices"

	"ftpvip/configs"
)

// Serving says which backends hold the slots of a pool in one family.
type Serving struct {
	Pool    *configs.Pool // whose members they are: the pool itself, or a fallback; nil where nobody serves
	Tiers   [2]int        // the lowest and the highest tier that serves
	Members []configs.Backend
	Quorum  bool // Pool has its min_members

	Fit, Need int // of the pool whose clients they are: its own members, were it alone, and how many are a quorum
}

// Serving selects the backends that serve the clients of pool p in family f.
//
// Members are added tier by tier, the lowest first, until there are min_members: so with the default of one, the
// lowest tier with a member serves, and with more, the next tier helps where one has too few. Where all tiers
// together have too few, the fallback is tried in the same way, then its fallback. If no pool of the chain has its quorum, the
// remaining members of the first pool that has any serve: too few servers are better than none.
//
// Only backends with an address of the family count, and a family has its quorum when all its backends are members.
func (s State) Serving(p *configs.Pool, f configs.Family) Serving {
	var left Serving
	own := s.within(p, f)
	left.Fit, left.Need = own.Fit, own.Need
	for _, q := range p.Chain() {
		sv := s.within(q, f)
		sv.Fit, sv.Need = own.Fit, own.Need
		if sv.Quorum {
			return sv
		}
		if left.Pool == nil && len(sv.Members) > 0 {
			left = sv
		}
	}
	return left
}

// within is Serving of one pool without its fallback.
func (s State) within(p *configs.Pool, f configs.Family) Serving {
	backends := ofFamily(p, f)
	slices.SortStableFunc(backends, func(a, b configs.Backend) int { return cmp.Compare(a.Tier, b.Tier) })
	need := min(max(p.MinMembers, 1), max(len(backends), 1))
	sv := Serving{Pool: p}
	for _, b := range backends {
		n := len(sv.Members)
		if n >= need && b.Tier > sv.Tiers[1] {
			break
		}
		if s.IsMember(configs.Ref{Pool: p.Name, Backend: b.Name}) {
			if n == 0 {
				sv.Tiers[0] = b.Tier
			}
			sv.Tiers[1] = b.Tier
			sv.Members = append(sv.Members, b)
		}
	}
	sv.Fit, sv.Need = len(sv.Members), need
	sv.Quorum = sv.Fit >= sv.Need
	return sv
}

// ofFamily lists a pool's backends that have an address of the family.
func ofFamily(p *configs.Pool, f configs.Family) []configs.Backend {
	var backends []configs.Backend
	for _, b := range p.Backends {
		if b.Addrs.Of(f).IsValid() {
			backends = append(backends, b)
		}
	}
	return backends
}

// PoolSlots is the number of slots of a pool: enough for its own backends, and for those of its fallbacks.
func PoolSlots(pool *configs.Pool) int {
	most := 0
	for _, p := range pool.Chain() {
		most = max(most, len(p.Backends))
	}
	return SlotCount(most)
}

// slotTable fills a pool's slots of one family.
func slotTable(p *configs.Pool, state State, f configs.Family) *Set {
	s := &Set{
		Name:  SlotsName(p.Name, f),
		Key:   []Type{Slot},
		Data:  []Type{addrType(f), Service},
		Slots: PoolSlots(p),
	}
	sv := state.Serving(p, f)
	if sv.Pool == nil {
		return s
	}
	var backends []configs.Backend
	var candidates []candidate
	for _, b := range ofFamily(sv.Pool, f) {
		ref := configs.Ref{Pool: sv.Pool.Name, Backend: b.Name}
		member := slices.ContainsFunc(sv.Members, func(m configs.Backend) bool { return m.Name == b.Name })
		base := b.Tier == sv.Tiers[0]
		if !member && !base {
			continue
		}
		c := candidate{name: b.Name, weight: b.Weight, base: base, member: member}
		c.now, c.percent = state.weight(ref, b)
		backends, candidates = append(backends, b), append(candidates, c)
	}
	for slot, who := range fill(p.Scheduler, s.Slots, candidates) {
		b := backends[who]
		s.Elements = append(s.Elements, Element{Key: slotBytes(slot), Data: addrPortBytes(b.Addrs.Of(f), b.Port)})
	}
	sortElements(s.Elements)
	return s
}
