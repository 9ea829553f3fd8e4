package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// patience is how long anything that should happen at once may take, beside a measurement's own time: longer than
// TCP's first few retransmissions.
const patience = 20 * time.Second

// arrivals is how many visitors connect and log in at the same time where many are wanted.
const arrivals = 64

// wrongError is returned beside a result: some replies named an address that the client should never see.
type wrongError struct{ wrong, of int }

// most reports whether that is so many that nothing was helped.
func (e *wrongError) most() bool { return e.wrong > e.of/20 }

// Error implements error.
func (e *wrongError) Error() string {
	return fmt.Sprintf("%d of %d 227 replies named another address than they had to", e.wrong, e.of)
}

// until turns the loop until done, or until it has waited for too long.
func (c *crowd) until(what string, limit time.Time, done func() bool) error {
	for c.err == nil && !done() {
		if time.Now().After(limit) {
			return fmt.Errorf("%s: not done after the time allowed", what)
		}
		if err := c.loop.turn(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return c.err
}

// verdict is the crowd's own judgement of what it saw.
func (c *crowd) verdict() error {
	if c.wrong > 0 {
		return &wrongError{c.wrong, c.replies}
	}
	return nil
}

// inside runs f with a new crowd before the peer's VIP, in the client's namespace.
func (p *peer) inside(user string, f func(*crowd) error) error {
	// The connections of the measurement before are forgotten, so that each begins alike.
	if err := p.forget(); err != nil {
		return err
	}
	return p.lab.Client.Do(func() error {
		l, err := newLoop()
		if err != nil {
			return err
		}
		defer l.close()
		defer pin(clientEnd)()
		c := &crowd{loop: l, vip: p.vip(), user: user, want: p.want()}
		for _, a := range p.lab.ClientAddrs {
			c.from = append(c.from, a.V4)
		}
		if err := f(c); err != nil {
			return err
		}
		return c.verdict()
	})
}

// assemble has n visitors log in, a few at a time; each calls arrived when it is there.
func (c *crowd) assemble(n int, arrived *int, visited func(*visitor)) error {
	limit := time.Now().Add(patience + time.Duration(n)*50*time.Millisecond)
	for started := 0; *arrived < n; {
		for ; started < n && started-*arrived < arrivals; started++ {
			visited(c.visit())
		}
		before := *arrived
		err := c.until(fmt.Sprintf("logging in %d clients", n), limit, func() bool { return *arrived > before })
		if err != nil {
			return err
		}
	}
	return nil
}

// passives is what PASV after PASV gives.
type passives struct {
	rate     float64 // replies a second
	p50, p99 time.Duration
}

// pasv has n control connections send PASV, each as soon as its last one is answered, for span.
func (p *peer) pasv(n int, span time.Duration) (result passives, err error) {
	return result, p.inside(userNumbers, func(c *crowd) error {
		visitors := make([]*visitor, 0, n)
		arrived := 0
		c.named = func(*visitor) { arrived++ } // the first PASV of each is not counted
		if err := c.assemble(n, &arrived, func(v *visitor) { visitors = append(visitors, v) }); err != nil {
			return err
		}
		took := make([]time.Duration, 0, 1<<18)
		busy := n
		start := time.Now()
		end := start.Add(span)
		c.named = func(v *visitor) {
			now := time.Now()
			if now.After(end) {
				busy--
				return
			}
			took = append(took, now.Sub(v.sent))
			v.pasv()
		}
		for _, v := range visitors {
			v.pasv()
		}
		err := c.until(fmt.Sprintf("PASV on %d connections", n), end.Add(patience), func() bool { return busy == 0 })
		for _, v := range visitors {
			v.drop()
		}
		if err != nil {
			return fmt.Errorf("%w (%d connections still wait for a reply)", err, busy)
		}
		if len(took) == 0 {
			return errors.New("not one reply in time")
		}
		slices.Sort(took)
		result = passives{
			rate: float64(len(took)) / span.Seconds(), p50: percentile(took, 50), p99: percentile(took, 99),
		}
		return nil
	})
}

// sessions runs whole sessions, n at a time, for span or until count have begun, whichever comes first; 0 is no
// limit. It returns how many ended in a second and how many that were.
func (p *peer) sessions(n int, span time.Duration, count int) (rate float64, total int, err error) {
	return rate, total, p.inside(userFiles, func(c *crowd) error {
		var last time.Time
		start := time.Now()
		end := start.Add(patience)
		if span > 0 {
			end = start.Add(span)
		}
		c.named = (*visitor).retrieve
		c.loaded = (*visitor).quit
		more := func() bool { return (count == 0 || c.visitors < count) && time.Now().Before(end) }
		c.ended = func(*visitor) {
			total++
			last = time.Now()
			if more() {
				c.visit()
			}
		}
		for range n {
			if more() {
				c.visit()
			}
		}
		err := c.until(fmt.Sprintf("sessions, %d at a time", n), end.Add(patience), func() bool { return total == c.visitors })
		if err != nil {
			return fmt.Errorf("%w (%d of %d sessions ended)", err, total, c.visitors)
		}
		rate = float64(total) / last.Sub(start).Seconds()
		return nil
	})
}

// crowded opens n control connections, has a file moved on each, and calls f while all of them are idle.
func (p *peer) crowded(n int, f func() error) error {
	return p.inside(userFiles, func(c *crowd) error {
		arrived := 0
		c.named = (*visitor).retrieve
		c.loaded = func(*visitor) { arrived++ }
		if err := c.assemble(n, &arrived, func(*visitor) {}); err != nil {
			return fmt.Errorf("%w (%d of %d are there)", err, arrived, n)
		}
		return f()
	})
}
