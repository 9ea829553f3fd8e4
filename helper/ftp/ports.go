package ftp

import "encoding/binary"

// maxOpens bounds how many ports are tried for one data connection.
const maxOpens = 32

// ports walks through all port numbers in an order that only its seed decides,
// so that a helper that was restarted comes to the same choice for a
// retransmitted announcement: a linear congruential generator with full period
// (Hull and Dobell: odd increment, multiplier 1 modulo 4).
type ports struct {
	mul, add, cur uint16
	left          int
}

func newPorts(seed uint64) ports {
	return ports{
		mul:  uint16(seed>>48)&^3 | 5,
		add:  uint16(seed>>32) | 1,
		cur:  uint16(seed),
		left: 1 << 16,
	}
}

// next returns the next port; false after all of them.
func (p *ports) next() (uint16, bool) {
	if p.left == 0 {
		return 0, false
	}
	p.left--
	p.cur = p.cur*p.mul + p.add
	return p.cur, true
}

// seed mixes the two hosts of a session and a wish into a seed (FNV-1a, then a
// finaliser). The client's port is not in it: a later session that wants the
// same is to get the same, for a kernel that has not forgotten the first
// connection yet takes the second for a new one only where both have the same
// addresses and ports on both sides of the translation.
func seed(e *Endpoints, wish uint16) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	mix := func(b []byte) {
		for _, c := range b {
			h = (h ^ uint64(c)) * prime
		}
	}
	c, b := e.Client.Addr().As16(), e.Backend.Addr().As16()
	mix(c[:])
	mix(b[:])
	var w [4]byte
	binary.BigEndian.PutUint16(w[:], e.Backend.Port())
	binary.BigEndian.PutUint16(w[2:], wish)
	mix(w[:])
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// open asks the Opener for d with the port wish, or another that fits. With
// ReasonNone and port 0 no port fits at all.
func (s *Session) open(d DataConn, wish uint16, fits func(uint16) bool) (uint16, Reason, error) {
	tried, fit := 0, false
	try := func(p uint16) (done bool, err error) {
		if !fits(p) {
			return false, nil
		}
		fit = true
		if !s.allowed(d.Passive, p, wish) {
			return false, nil
		}
		tried++
		d.Port = p
		d.At = addrPort(d.At, p)
		err = s.opener.Open(d)
		return !isBusy(err), err
	}
	done, err := try(wish)
	for it := newPorts(seed(s.ends, wish)); !done && tried < maxOpens; {
		p, ok := it.next()
		if !ok {
			break
		}
		if p != wish {
			done, err = try(p)
		}
	}
	switch {
	case done && err == nil:
		s.stats.Opened[d.Command]++
		s.event(Event{Kind: EventExpected, Command: d.Command, Data: d})
		return d.Port, ReasonNone, nil
	case done && isQuota(err):
		return 0, ReasonQuota, err
	case done:
		return 0, ReasonOpen, err
	case fit:
		return 0, ReasonNoPort, err
	}
	return 0, ReasonNone, nil
}

// allowed reports whether a data connection may get port p, where wish is its own.
func (s *Session) allowed(passive bool, p, wish uint16) bool {
	if p < max(s.policy.portsMin(), DefaultPortsMin) {
		return false
	}
	if !passive {
		return true
	}
	if p == wish && s.policy.Slice.has(p) {
		return true // a firewall farther out may let in nothing but these
	}
	return p != s.ends.VIP.Port() && (s.policy.Reserved == nil || !s.policy.Reserved(p))
}
