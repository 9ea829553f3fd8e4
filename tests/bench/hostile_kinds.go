package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hostileSessions is how many connections the hostile client has: what the default quota of one address allows.
const hostileSessions = 250

// The line of the hostile client: 100 Mbit/s, and packets enough to fill it with small ones. Without an end to it the kernel's
// own queues between the namespaces overflow, and nothing is measured of the helper.
const (
	bytesPerTick  = 12500
	writesPerTick = 20
	tick          = time.Millisecond
)

// headers is what a packet has beside its payload: Ethernet, IP and TCP with timestamps.
const headers = 66

// manner is what a hostile client does, as fast as its sockets take.
type manner struct {
	name string
	// say is what a session sends over and over; n is the session's number.
	say func(from netip.Addr, n int) []byte
	// reopen has each session closed after its first line, and another opened.
	reopen bool
	short  bool // part of -short
}

// segmentOf repeats lines until they fill a segment.
func segmentOf(list ...string) []byte {
	text := strings.Join(list, "")
	return []byte(strings.Repeat(text, max(1400/len(text), 1)))
}

func portOf(from netip.Addr, port int) string {
	return fmt.Sprintf("PORT %s,%d,%d\r\n", strings.ReplaceAll(from.String(), ".", ","), port>>8, port&255)
}

var manners = []manner{
	{name: "same PORT", short: true, say: func(from netip.Addr, n int) []byte { return segmentOf(portOf(from, 20000+n)) }},
	{name: "two PORTs in turn", short: true, say: func(from netip.Addr, n int) []byte {
		return segmentOf(portOf(from, 20000+n), portOf(from, 30000+n))
	}},
	{name: "PORT of a third party", say: func(netip.Addr, int) []byte { return segmentOf("PORT 203,0,113,9,200,1\r\n") }},
	{name: "EPRT", say: func(from netip.Addr, n int) []byte {
		return segmentOf(fmt.Sprintf("EPRT |1|%s|%d|\r\n", from, 20000+n))
	}},
	{name: "PASV", short: true, say: func(netip.Addr, int) []byte { return segmentOf("PASV\r\n") }},
	{name: "EPSV", say: func(netip.Addr, int) []byte { return segmentOf("EPSV\r\n") }},
	{name: "NOOP", say: func(netip.Addr, int) []byte { return segmentOf("NOOP\r\n") }},
	{name: "empty lines", say: func(netip.Addr, int) []byte { return segmentOf("\r\n") }},
	{name: "one-byte segments", short: true, say: func(netip.Addr, int) []byte { return []byte("\n") }},
	{name: "long lines", say: func(netip.Addr, int) []byte { return segmentOf("x") }},
	{name: "bare CRs", say: func(netip.Addr, int) []byte { return segmentOf("NOOP\r") }},
	{name: "random bytes", say: func(_ netip.Addr, n int) []byte {
		b := make([]byte, 1<<16)
		_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
		return b
	}},
	{name: "TLS records", say: func(netip.Addr, int) []byte { return segmentOf("\x17\x03\x03\x00\x20" + strings.Repeat("\xaa", 32)) }},
	{name: "open and close", short: true, reopen: true, say: func(netip.Addr, int) []byte { return []byte("USER x\r\n") }},
}

func mannerOf(name string) (manner, error) {
	for _, m := range manners {
		if m.name == name {
			return m, nil
		}
	}
	return manner{}, fmt.Errorf("no hostile client does %q", name)
}

// attacker is the hostile client.
type attacker struct {
	manner
	loop *loop
	from netip.Addr
	to   netip.AddrPort
	open int
	err  error

	bytes, writes int // that are left of the tick
	refill        time.Time
}

// pace gives the attacker its line's room for the time that has gone, and waits if there is none left.
func (a *attacker) pace() {
	if a.bytes <= 0 || a.writes <= 0 {
		time.Sleep(time.Until(a.refill.Add(tick)))
	}
	now := time.Now()
	if n := int(now.Sub(a.refill) / tick); n > 0 {
		n = min(n, 20) // what was missed longer ago is lost
		a.bytes, a.writes, a.refill = min(a.bytes, 0)+n*bytesPerTick, min(a.writes, 0)+n*writesPerTick, now
	}
}

// attack is the process of one: "manner,from,to".
func attack(what string, up func()) error {
	words := strings.Split(what, ",")
	if len(words) != 3 {
		return fmt.Errorf("%q is not a manner and two addresses", what)
	}
	m, err := mannerOf(words[0])
	if err != nil {
		return err
	}
	a := &attacker{manner: m}
	if a.from, err = netip.ParseAddr(words[1]); err != nil {
		return err
	}
	if a.to, err = netip.ParseAddrPort(words[2]); err != nil {
		return err
	}
	if a.loop, err = newLoop(); err != nil {
		return err
	}
	defer yield()()
	sessions := make([]raider, hostileSessions)
	for i := range sessions {
		r := &sessions[i]
		*r = raider{a: a, fd: -1, text: a.say(a.from, i)}
		if err := r.connect(); err != nil {
			return err
		}
	}
	for begun := false; a.err == nil; {
		if !begun && (a.reopen || a.open == hostileSessions) {
			begun = true
			up()
		}
		a.pace()
		if err := a.loop.turn(tick); err != nil {
			return err
		}
	}
	return a.err
}

// yield makes this thread one that has the processors when no other process of the bench wants them, on the backends' side:
// what is measured is the helper's time, and not that a neighbour takes the processor. All of them are one session, so for
// everybody else the scheduler sees one group.
func yield() (undo func()) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // of the thread, which the caller has locked
	return pin(backendEnd)
}

// raider is one session of an attacker.
type raider struct {
	a    *attacker
	fd   int
	up   bool
	text []byte
	at   int // in text
	in   [4096]byte
}

func (r *raider) connect() (err error) {
	if r.fd, err = connect(r.a.from, r.a.to); err != nil {
		return err
	}
	return r.a.loop.add(r.fd, unix.EPOLLOUT, r)
}

// again opens the session again.
func (r *raider) again() {
	if r.up {
		r.up = false
		r.a.open--
	}
	abort(r.fd)
	r.a.loop.drop(r.fd)
	if err := r.connect(); err != nil {
		r.a.err = err
	}
}

// ready implements handler: it reads and forgets what comes, and writes what fits.
func (r *raider) ready() {
	if !r.up {
		if connected(r.fd) != nil {
			r.again()
			return
		}
		r.up = true
		r.a.open++
		if err := r.a.loop.change(r.fd, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
			r.a.err = err
			return
		}
	}
	n, err := unix.Read(r.fd, r.in[:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil, n == 0:
		r.again()
		return
	case r.a.reopen: // the greeting
		_, _ = unix.Write(r.fd, r.text)
		r.a.bytes -= 5 * headers // with what opens and closes it
		r.a.writes -= 5
		r.again()
		return
	}
	if r.a.bytes <= 0 || r.a.writes <= 0 {
		return
	}
	n, err = unix.Write(r.fd, r.text[r.at:min(r.at+1400, len(r.text))])
	if err != nil {
		return // full, or closed: the next read says so
	}
	r.at = (r.at + n) % len(r.text)
	r.a.bytes -= n + headers
	r.a.writes--
}
