package configs

import "slices"

// Link notes at each pool which VIPs use it, in the order of the file. Load does so; a Config that is made by hand has
// VIP.Pool and Pool.Fallback alone.
func (c *Config) Link() {
	for i := range c.Pools {
		c.Pools[i].VIPs = nil
	}
	for i := range c.VIPs {
		for _, p := range c.VIPs[i].Pool.Chain() {
			p.VIPs = append(p.VIPs, &c.VIPs[i])
		}
	}
}

// Chain lists the pool, its fallback, that one's fallback and so on: all whose backends may serve the VIPs of the pool.
func (p *Pool) Chain() []*Pool {
	var chain []*Pool
	for p != nil && !slices.Contains(chain, p) { // validation meets circles
		chain = append(chain, p)
		p = p.Fallback
	}
	return chain
}

// clone copies VIPs and pools; references point into the copy.
func (c *Config) clone() *Config {
	copied := *c
	copied.VIPs, copied.Pools = slices.Clone(c.VIPs), slices.Clone(c.Pools)
	vips, pools := map[*VIP]*VIP{}, map[*Pool]*Pool{}
	for i := range c.VIPs {
		vips[&c.VIPs[i]] = &copied.VIPs[i]
	}
	for i := range c.Pools {
		pools[&c.Pools[i]] = &copied.Pools[i]
	}
	for i := range copied.VIPs {
		copied.VIPs[i].Pool = pools[copied.VIPs[i].Pool]
	}
	for i := range copied.Pools {
		p := &copied.Pools[i]
		p.Fallback, p.SourceGroup = pools[p.Fallback], vips[p.SourceGroup]
	}
	copied.Link()
	return &copied
}
