package configs

import (
	"fmt"
	"net/netip"
	"slices"
)

// healthCheck picks the default check, and refuses what the servers cannot pass or the check does not read.
func (c *checker) healthCheck(p *Pool, raw rawPool) {
	h := raw.health
	ftp := slices.ContainsFunc(p.VIPs, func(v *VIP) bool { return v.Application == FTPControl })
	switch {
	case h.check.state == absent && ftp:
		p.Health.Check = CheckFTPBanner
	case h.check.state == absent:
		p.Health.Check = CheckTCP
	case len(p.VIPs) > 0 && !ftp && slices.Contains([]Check{CheckFTPBanner, CheckFTPLogin, CheckFTPTransfer}, p.Health.Check):
		c.at(h.check.pos, fmt.Sprintf("the pool serves application tcp only (VIP %s)", p.VIPs[0].Name),
			list([]Check{CheckNone, CheckTCP, CheckExec}), "use check: tcp")
	}
	c.unread(p.Health.Check, h)
	c.healthFamilies(p, h)
	c.checkSource(p, raw)
	c.allDown(p, raw)
	if h.source.state == absent && p.Health.Through == ThroughVIP {
		p.Health.Source = p.SNAT.Addrs // what the server sees has as many digits then as what the check says in PORT
	}
	if p.Health.Through == ThroughVIP && len(p.VIPs) == 0 {
		c.at(h.through.pos, "no VIP uses this pool", list(throughs), "use through: backend, or let a VIP use the pool")
	}
}

// allDown makes on_all_down and fallback agree.
func (c *checker) allDown(p *Pool, raw rawPool) {
	f := raw.health.onAllDown
	switch p.Health.OnAllDown {
	case "":
		p.Health.OnAllDown = AllDownEmpty
		if raw.fallback.val != "" {
			p.Health.OnAllDown = AllDownFallback
		}
	case AllDownFallback:
		if raw.fallback.state == absent {
			c.at(f.pos, "the pool has no fallback", list(onAllDowns), "add fallback: POOL to the pool, or use empty or keep-last")
		}
	case AllDownEmpty, AllDownKeepLast:
		if raw.fallback.state == given {
			c.at(f.pos, fmt.Sprintf("the pool has a fallback (%s), which serves then", quoted(raw.fallback.val)), list(onAllDowns),
				"use on_all_down: fallback, or delete the pool's fallback")
		}
	}
}

// unread reports keys that the check does not read.
func (c *checker) unread(check Check, h rawHealth) {
	for _, k := range h.readBy {
		if k.state == given && check != "" && !slices.Contains(k.checks, check) {
			c.at(k.pos, fmt.Sprintf("has no effect with check: %s", check), "with check: "+list(k.checks)+" only",
				"delete the key, or use another check")
		}
	}
}

// healthFamilies reports backends whose addresses no mode of the check can speak with.
func (c *checker) healthFamilies(p *Pool, h rawHealth) {
	if p.Health.Check != CheckFTPTransfer || len(p.Health.Modes) == 0 {
		return
	}
	speaks := func(m DataMode) bool { return m.Speaks(IPv6) }
	if anyBackend(p, IPv6) && !slices.ContainsFunc(p.Health.Modes, speaks) {
		c.at(h.modes.pos, "no mode for IPv6, but a backend has an IPv6 address", list(dataModes), "add epsv or eprt")
	}
}

// checkSource reports sources that are a backend's address: answers would stay with it.
func (c *checker) checkSource(p *Pool, raw rawPool) {
	for _, a := range p.Health.Source.All() {
		if ref := c.backendAt(a); ref != (Ref{}) {
			c.at(where(raw.health.source, a), fmt.Sprintf("is the address of backend %s", ref), wantSource, "use an address of this host")
		}
	}
}

func (c *checker) backendAt(a netip.Addr) Ref {
	for _, p := range c.cfg.Pools {
		for _, b := range p.Backends {
			if b.Addrs.Has(a) {
				return Ref{p.Name, b.Name}
			}
		}
	}
	return Ref{}
}
