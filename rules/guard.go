package rules

import (
	"time"

	"ftpvip/configs"
)

// Most elements of the dynamic sets. A client that finds its set full is not limited: a flood of forged addresses
// must not shut out everybody else.
const (
	maxClients  = 65536
	maxBackends = 4096
)

// guardMaps makes the verdict maps to the chains that refuse, for one family.
func guardMaps(cfg *configs.Config, f configs.Family) []*Set {
	endpoint := []Type{addrType(f), Service}
	guard := &Set{Name: setName(stemGuard, f), Key: endpoint, Data: []Type{Verdict}}
	full := &Set{Name: setName(stemFull, f), Key: endpoint, Data: []Type{Verdict}}
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		if !v.Addrs.Of(f).IsValid() {
			continue
		}
		key := addrPortBytes(v.Addrs.Of(f), v.Port)
		if guarded(v) {
			guard.add(Element{Key: key, Goto: guardChain(v.Name)})
		}
		if v.Limits.PerBackend > 0 {
			full.add(Element{Key: key, Goto: fullChain(v.Name)})
		}
	}
	return []*Set{guard, full}
}

func guarded(v *configs.VIP) bool {
	return len(v.Deny) > 0 || len(v.Allow) > 0 || v.Limits.PerClient > 0 || v.Limits.NewPerSecond > 0
}

// addGuards adds what the lists and limits of each VIP need: sets, counters and chains.
func (r *Ruleset) addGuards(cfg *configs.Config) {
	for i := range cfg.VIPs {
		g := guardian{Ruleset: r, vip: &cfg.VIPs[i]}
		if guarded(g.vip) {
			g.guard()
		}
		if g.vip.Limits.PerBackend > 0 {
			g.full()
		}
	}
}

// guardian builds for one VIP.
type guardian struct {
	*Ruleset
	vip *configs.VIP
}

// guard refuses clients, in the order of cost: lists, rate, connections.
func (g *guardian) guard() {
	chain := &Chain{Name: guardChain(g.vip.Name)}
	refuse := func(why Refusal, match func(configs.Family) Statement) {
		for _, f := range configs.Families {
			if g.vip.Addrs.Of(f).IsValid() {
				chain.Rules = append(chain.Rules, rule(MatchFamily{f}, MatchTCP{}, match(f), g.count(why), RejectReset{}))
			}
		}
	}
	limits := g.vip.Limits
	if len(g.vip.Deny) > 0 {
		refuse(RefusedByDeny, func(f configs.Family) Statement {
			s := g.set(stemDeny, f, addrType(f))
			s.Interval, s.Elements = true, intervals(g.vip.Deny, f)
			return MatchInSet{Key{f, Source}, s.Name}
		})
	}
	if len(g.vip.Allow) > 0 {
		refuse(RefusedByAllow, func(f configs.Family) Statement {
			s := g.set(stemAllow, f, addrType(f))
			s.Interval, s.Elements = true, intervals(g.vip.Allow, f)
			return MatchNotInSet{Key{f, Source}, s.Name}
		})
	}
	if limits.NewPerSecond > 0 {
		refuse(RefusedByRate, func(f configs.Family) Statement {
			s := g.set(stemRate, f, addrType(f))
			s.Dynamic = &Dynamic{Size: maxClients, Timeout: refillTime(limits)}
			return RateOver{Key{f, Client}, s.Name, uint64(limits.NewPerSecond), uint32(limits.Burst)}
		})
	}
	if limits.PerClient > 0 {
		refuse(RefusedByClients, func(f configs.Family) Statement {
			s := g.set(stemClients, f, addrType(f))
			s.Dynamic = &Dynamic{Size: maxClients}
			return CountOver{Key{f, Client}, s.Name, uint32(limits.PerClient)}
		})
	}
	g.Chains = append(g.Chains, chain)
}

// refillTime is how long a client must be quiet until its full burst is available again; then its element can be deleted.
func refillTime(l configs.Limits) time.Duration {
	return time.Duration(l.Burst/l.NewPerSecond+2) * time.Second
}

// full refuses connections to a backend that has enough. It comes after NAT, where the destination is the backend.
func (g *guardian) full() {
	chain := &Chain{Name: fullChain(g.vip.Name)}
	for _, f := range configs.Families {
		if !g.vip.Addrs.Of(f).IsValid() {
			continue
		}
		s := g.set(stemBackends, f, addrType(f), Service)
		s.Dynamic = &Dynamic{Size: maxBackends}
		chain.Rules = append(chain.Rules, rule(MatchFamily{f}, MatchTCP{},
			CountOver{Key{f, Destination}, s.Name, uint32(g.vip.Limits.PerBackend)},
			g.count(RefusedByBackend), RejectReset{}))
	}
	g.Chains = append(g.Chains, chain)
}

func (g *guardian) set(stem string, f configs.Family, key ...Type) *Set {
	s := &Set{Name: vipSetName(stem, f, g.vip.Name), Key: key}
	g.Sets = append(g.Sets, s)
	return s
}

// count makes the counter of a refusal, once for both families.
func (g *guardian) count(why Refusal) Count {
	c := Counter{CounterName(why, g.vip.Name)}
	if n := len(g.Counters); n == 0 || g.Counters[n-1] != c {
		g.Counters = append(g.Counters, c)
	}
	return Count{c.Name}
}
