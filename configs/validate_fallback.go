package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// affinity takes a duration, for the schedulers that would not keep a client on its backend by themselves.
func (c *checker) affinity(f, scheduler field[string], s Scheduler) time.Duration {
	d := c.duration(f, affinitySpan)
	if misspelt := or(scheduler, string(s)) != string(s); d > 0 && s == SourceHash && !misspelt {
		c.at(f.pos, "has no effect with scheduler source-hash: it keeps a client on its server by itself", "",
			"delete it, or use scheduler: round-robin or random")
		return 0
	}
	return d
}

// minMembers reports a quorum that a pool cannot reach.
func (c *checker) minMembers(f field[int], p Pool) {
	if n := len(p.Backends); f.state == given && n > 0 && p.MinMembers > n {
		c.at(f.pos, "is more than the pool has backends", fmt.Sprintf("1..%d", n),
			"lower it, or add backends")
	}
}

// fallbacks reports fallback pools that are not there, that lead back to where they are named, and whose
// servers would be reached in another way than they are set up for.
func (c *checker) fallbacks() {
	for i := range c.cfg.Pools {
		p, f := &c.cfg.Pools[i], c.raw.pools.all[i].fallback
		if f.val == "" {
			if f.state == given {
				c.at(f.pos, "is empty", wantFallback, "name a pool, or delete the key")
			}
			continue
		}
		next := p.Fallback
		if next == nil {
			names := c.poolNames()
			names = slices.DeleteFunc(names, func(n string) bool { return n == p.Name })
			c.at(f.pos, "no pool has that name", some(names), guess(f.val, names, "add a pool of that name, or name one that exists"))
			continue
		}
		if circle := c.circle(p); circle != nil {
			c.at(f.pos, "leads back to this pool: "+strings.Join(circle, " -> "), "a chain of pools with an end",
				"delete one fallback of the circle")
			continue
		}
		if next.SNAT != p.SNAT && c.soundSNAT(p.Name) && c.soundSNAT(next.Name) {
			c.at(f.pos, fmt.Sprintf("pool %s has another snat than this one, and a VIP reaches the servers of both in one way",
				next.Name), "a pool with the same snat", "give both pools the same snat")
		}
	}
}

// circle lists the pools from p to p along the fallbacks, or nothing where they do not lead back. Of each
// circle the first pool in the file reports it.
func (c *checker) circle(p *Pool) []string {
	circle := []string{p.Name}
	met := map[string]bool{p.Name: true}
	for next := p; ; {
		next = next.Fallback
		switch {
		case next == nil, c.poolAt[next.Name] < c.poolAt[p.Name]:
			return nil
		case next.Name == p.Name:
			return append(circle, p.Name)
		case met[next.Name]:
			return nil // a circle further on
		}
		met[next.Name] = true
		circle = append(circle, next.Name)
	}
}

// soundSNAT reports whether a pool has a name, and a snat that could be read.
func (c *checker) soundSNAT(pool string) bool {
	p, raw := c.lookup(pool)
	return p != nil && raw.snat.state != bad && (p.SNAT.Mode != SNATAddress || sound(raw.snat, p.SNAT.Addrs))
}

// poolNames lists the names of all pools, each once.
func (c *checker) poolNames() []string {
	var names []string
	for i, p := range c.cfg.Pools {
		if at, ok := c.poolAt[p.Name]; ok && at == i {
			names = append(names, p.Name)
		}
	}
	return names
}
