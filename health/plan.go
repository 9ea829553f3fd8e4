package health

import (
	"net/netip"
	"slices"
	"time"

	"ftpvip/configs"
	"ftpvip/health/probe"
)

// job is one probe of a round. Backends whose jobs are equal share one, in whatever pools they are.
type job struct {
	check  configs.Check
	target probe.Target
}

// plan is the jobs of a round and which backend waits for which of them.
type plan struct {
	jobs  []job                 // each once, those not looked at for the longest time first
	needs map[configs.Ref][]job // by backend, IPv4 first
}

// makePlan lists what must be probed: of the backends in only, or of all where that is nil. Pools whose check is none, or is
// not in probes, need nothing.
func makePlan(cfg *configs.Config, prev File, probes probe.Set, only map[configs.Ref]bool) plan {
	p := plan{needs: make(map[configs.Ref][]job)}
	checked := make(map[job]time.Time)
	tags := cfg.WayTags()
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		if probes[pool.Health.Check] == nil || !wanted(pool, only) {
			continue
		}
		families := served(pool)
		makeSpec := probe.Specs(pool)
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			if only != nil && !only[ref] {
				continue
			}
			spec := (*probe.Spec)(nil)
			if pool.Health.Check != configs.CheckTCP && pool.Health.Check != configs.CheckFTPBanner {
				spec = makeSpec(b)
			}
			for _, addr := range probed(b, families) {
				f := configs.FamilyOf(addr)
				j := job{pool.Health.Check, probe.Target{
					Addr: netip.AddrPortFrom(addr, b.Port), Source: pool.Health.Source.Of(f), Timeout: pool.Health.Timeout, Spec: spec,
				}}
				if pool.Health.Through == configs.ThroughVIP {
					if j.target.Via = pool.WayVIP(f); j.target.Via.IsValid() {
						j.target.Tag = tags[ref]
					}
				}
				p.needs[ref] = append(p.needs[ref], j)
				last := prev.Backends[ref].Checked
				if other, ok := checked[j]; !ok {
					p.jobs = append(p.jobs, j)
					checked[j] = last
				} else if last.Before(other) {
					checked[j] = last
				}
			}
		}
	}
	slices.SortStableFunc(p.jobs, func(a, b job) int { return checked[a].Compare(checked[b]) })
	return p
}

// wanted reports whether a pool has a backend in only.
func wanted(pool *configs.Pool, only map[configs.Ref]bool) bool {
	return only == nil || slices.ContainsFunc(pool.Backends, func(b configs.Backend) bool {
		return only[configs.Ref{Pool: pool.Name, Backend: b.Name}]
	})
}

// longest returns the longest timeout of the plan.
func (p plan) longest() time.Duration {
	var d time.Duration
	for _, j := range p.jobs {
		d = max(d, j.target.Timeout)
	}
	return d
}

// served lists the families in which a VIP uses the pool, also as a fallback; where no VIP does, those of its backends.
func served(pool *configs.Pool) []configs.Family {
	var families []configs.Family
	for _, f := range configs.Families {
		if slices.ContainsFunc(pool.VIPs, func(v *configs.VIP) bool { return v.Addrs.Of(f).IsValid() }) {
			families = append(families, f)
		}
	}
	if len(families) > 0 {
		return families
	}
	for _, f := range configs.Families {
		if slices.ContainsFunc(pool.Backends, func(b configs.Backend) bool { return b.Addrs.Of(f).IsValid() }) {
			families = append(families, f)
		}
	}
	return families
}

// probed lists the addresses of b that count: those of the families given, or all if it has none of them.
func probed(b configs.Backend, families []configs.Family) []netip.Addr {
	var addrs []netip.Addr
	for _, f := range families {
		if a := b.Addrs.Of(f); a.IsValid() {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return b.Addrs.All()
	}
	return addrs
}
