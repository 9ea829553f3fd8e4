package ftp

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Bounds of the search for another port than the wished one. No line may cost more, whatever it says.
const (
	maxOpens = 32  // the Opener is asked so often
	maxWalk  = 256 // so many ports are looked at, of which VIPs and passive slices may have some
)

// stride is the step from one port to the next: a prime above all numbers of ports, so that each comes once.
const stride = 1_000_003

// portChoice says which ports can be announced: those whose text has a length within bounds.
type portChoice struct {
	only     bool   // the wished one and no other
	six      bool   // written as two numbers, as PORT and 227 do, not as one
	min, max int    // length of the text
	last     uint16 // highest port; 0: none
	prefix   string // what of the text has gone on; with six empty
}

// text is how p is announced.
func (c *portChoice) text(p uint16) string {
	if c.six {
		return portText(p)
	}
	return strconv.Itoa(int(p))
}

func (c *portChoice) fits(p uint16) bool {
	if c.only {
		return true
	}
	t := c.text(p)
	return (c.last == 0 || p <= c.last) && len(t) >= c.min && len(t) <= c.max && strings.HasPrefix(t, c.prefix)
}

// block is a set of ports: base, base+1, ... in a number of rows that are 256 apart.
type block struct{ base, rows, columns int }

// numbers are those of one, two and three digits, up to 255.
var numbers = [...]struct{ first, last int }{{0, 9}, {10, 99}, {100, 255}}

// blocks lists the ports that fit, without those below 1024.
func (c *portChoice) blocks() (list []block, total int) {
	add := func(b block) {
		if b.rows > 0 && b.columns > 0 {
			list = append(list, b)
			total += b.rows * b.columns
		}
	}
	if c.six {
		for i, high := range numbers {
			for k, low := range numbers {
				if n := i + k + 3; n < c.min || n > c.max {
					continue
				}
				first := max(high.first, DefaultPortsMin>>8)
				add(block{first<<8 + low.first, high.last - first + 1, low.last - low.first + 1})
			}
		}
		return list, total
	}
	for n := max(c.min, len(c.prefix), 4); n <= min(c.max, 5); n++ {
		first, last := 1, 9
		k := n - 1
		if c.prefix != "" {
			first, _ = strconv.Atoi(c.prefix)
			last, k = first, n-len(c.prefix)
		}
		for ; k > 0; k-- {
			first, last = first*10, last*10+9
		}
		first, last = max(first, DefaultPortsMin), min(last, 1<<16-1)
		if c.last != 0 {
			last = min(last, int(c.last))
		}
		add(block{first, 1, last - first + 1})
	}
	return list, total
}

// within lists the ports of a range that fit.
func (c *portChoice) within(r Ports) (list []block, total int) {
	for p := int(r.First); p <= int(r.Last); p++ {
		if !c.fits(uint16(p)) { //nolint:gosec // a port
			continue
		}
		if n := len(list); n > 0 && list[n-1].base+list[n-1].columns == p && list[n-1].columns < 256 {
			list[n-1].columns++
		} else {
			list = append(list, block{p, 1, 1})
		}
		total++
	}
	return list, total
}

// at is the port with a number in the list.
func at(list []block, i int) uint16 {
	for _, b := range list {
		if n := b.rows * b.columns; i >= n {
			i -= n
			continue
		}
		return uint16(b.base + i/b.columns<<8 + i%b.columns) //nolint:gosec // blocks are made of ports
	}
	return 0
}

// seed mixes the two hosts of a session and a wish into a seed (FNV-1a, then a
// finaliser). The client's port is not in it: a later session that wants the
// same is to get the same, because a kernel that has not forgotten the first
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

// open asks the Opener for d with the port wish, or another that fits. With ReasonNone and port 0 no port fits at all.
// The order of the others depends on the two hosts and the wish alone, so that a helper that was restarted comes to the
// same choice for a retransmitted announcement.
func (s *Session) open(d DataConn, wish uint16, choice portChoice) (uint16, Reason, error) {
	try := func(p uint16) (done bool, err error) {
		d.Port = p
		d.At = addrPort(d.At, p)
		err = s.opener.Open(d)
		return !isBusy(err), err
	}
	var (
		done bool
		err  error
		fit  = choice.fits(wish)
	)
	if fit && s.allowed(d.Passive, wish, wish) {
		done, err = try(wish)
	}
	if !done && !choice.only {
		list, total := choice.blocks()
		if d.Passive && s.policy.Range.First != 0 {
			list, total = choice.within(s.policy.Range)
		}
		fit = fit || total > 0
		h := seed(s.ends, wish)
		for i, tried := 0, 0; !done && i < min(total, maxWalk) && tried < maxOpens; i++ {
			p := at(list, int((h%uint64(total)+uint64(i)*stride)%uint64(total))) //nolint:gosec // below total
			if p != wish && s.allowed(d.Passive, p, wish) {
				tried++
				done, err = try(p)
			}
		}
	}
	switch {
	case done && err == nil && d.Provisional:
		return d.Port, ReasonNone, nil
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
