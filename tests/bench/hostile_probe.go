package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// The well-behaved clients: how many, how long each thinks after an answer, and how long after a log-in the next begins.
const (
	probes     = 20
	probeThink = 10 * time.Millisecond
	loginThink = 10 * time.Millisecond
)

// ask is what a probe waits for an answer to.
type ask int

const (
	askNoop ask = iota
	askPassive
	askLogin // from connecting to 230

	numAsks
)

var askNames = [numAsks]string{"NOOP", "PASV", "log-in"}

// watch is what the probes of one measurement have in common.
type watch struct {
	loop    *loop
	vip     netip.AddrPort
	from    []netip.Addr
	took    [numAsks][]time.Duration
	on      bool // answers count
	arrived int  // how many have logged in, without the one that does nothing else
	err     error
}

// probe is one well-behaved client. One that logs in does that over and over.
type probe struct {
	w     *watch
	from  netip.Addr
	fd    int
	in    lines
	up    bool
	login bool
	now   ask
	sent  time.Time // zero: it thinks
	next  time.Time
}

// start connects.
func (p *probe) start() {
	p.up, p.in = false, lines{}
	p.now, p.sent = askLogin, time.Now()
	var err error
	if p.fd, err = connect(p.from, p.w.vip); err == nil {
		err = p.w.loop.add(p.fd, unix.EPOLLOUT, probeSocket{p})
	}
	if err != nil {
		p.w.err = err
	}
}

// probeSocket implements handler.
type probeSocket struct{ *probe }

func (s probeSocket) ready() { s.readable() }

func (p *probe) say(line string) {
	if _, err := unix.Write(p.fd, []byte(line)); err != nil {
		p.w.err = fmt.Errorf("saying %q: %w", line, err)
	}
}

func (p *probe) readable() {
	w := p.w
	if !p.up {
		p.up = true
		if err := connected(p.fd); err != nil {
			w.err = fmt.Errorf("a well-behaved client cannot connect: %w", err)
		} else if err := w.loop.change(p.fd, unix.EPOLLIN); err != nil {
			w.err = err
		}
		return
	}
	if err := p.in.fill(p.fd); err != nil {
		w.err = fmt.Errorf("a well-behaved client loses its connection: %w", err)
		return
	}
	for line := p.in.next(); line != nil; line = p.in.next() {
		switch code := replyCode(line); {
		case code == 220:
			p.say("USER " + userNumbers + "\r\n")
		case code == 331:
			p.say("PASS x\r\n")
		case code == 230, code == 200 && p.now == askNoop, code == 227 && p.now == askPassive:
			p.answered()
			if p.login {
				return // another socket by now
			}
		default:
			w.err = fmt.Errorf("a well-behaved client gets %q", line)
		}
	}
}

// answered notes how long it took, and thinks.
func (p *probe) answered() {
	now := time.Now()
	if p.w.on {
		p.w.took[p.now] = append(p.w.took[p.now], now.Sub(p.sent))
	}
	p.sent, p.next = time.Time{}, now.Add(probeThink)
	if p.now == askLogin && !p.login {
		p.w.arrived++
	}
	if p.login {
		abort(p.fd)
		p.w.loop.drop(p.fd)
		p.fd, p.next = -1, now.Add(loginThink)
	}
}

// due has a probe say its next line, if it has thought enough.
func (p *probe) due(now time.Time) {
	switch {
	case !p.sent.IsZero() || now.Before(p.next):
	case p.login:
		p.start()
	case p.now == askNoop:
		p.now, p.sent = askPassive, now
		p.say("PASV\r\n")
	default:
		p.now, p.sent = askNoop, now
		p.say("NOOP\r\n")
	}
}

// observe runs probes: until all are there, and settle has gone, and then for span. An answer that has not come at the end
// counts as if it came then.
func (w *watch) observe(settle, span time.Duration) error {
	list := make([]*probe, 0, probes+1)
	for i := range probes + 1 {
		p := &probe{w: w, from: w.from[i%len(w.from)], fd: -1, login: i == probes}
		list = append(list, p)
		p.start()
	}
	start := time.Now()
	var end time.Time
	for now := start; (!w.on || now.Before(end)) && w.err == nil; now = time.Now() {
		if !w.on && (now.After(start.Add(settle)) && w.arrived == probes || now.After(start.Add(patience))) {
			w.on, end = true, now.Add(span)
		}
		for _, p := range list {
			p.due(now)
		}
		if err := w.loop.turn(time.Millisecond); err != nil {
			return err
		}
	}
	for _, p := range list {
		if !p.sent.IsZero() && w.err == nil {
			w.took[p.now] = append(w.took[p.now], time.Since(p.sent))
		}
		if p.fd >= 0 {
			abort(p.fd)
			w.loop.drop(p.fd)
		}
	}
	for a := range w.took {
		slices.Sort(w.took[a])
		if len(w.took[a]) == 0 && w.err == nil {
			w.err = fmt.Errorf("not one %s in %v", askNames[a], span)
		}
	}
	return w.err
}
