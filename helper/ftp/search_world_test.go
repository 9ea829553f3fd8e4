package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// packet is one segment on its way.
type packet struct {
	dir      Direction
	seq, ack uint32
	b        []byte
	gen      uint8 // which engine passed it; 0: none
}

type eventKind uint8

const (
	evBox    eventKind = iota // a packet reaches this host
	evEnd                     // a packet reaches the other end
	evTimer                   // of a sender
	evAck                     // a delayed acknowledgement
	evServer                  // the server does the next thing
	evClient                  // the client does the next thing
	evThink                   // the client says the next command
	evDown                    // the helper ends
	evUp                      // the helper starts
)

type event struct {
	at   time.Duration
	no   uint32
	gen  uint32
	kind eventKind
	dir  Direction
	p    packet
}

// waiting is a segment without a verdict.
type waiting struct {
	tag   uint32
	p     packet
	since time.Duration
}

// opened is an expectation, and when it was made.
type opened struct {
	DataConn
	at time.Duration
}

// world is one dialogue: a client, the network, this host with the engine, a server; and a clock.
type world struct {
	dice   *dice
	now    time.Duration
	heap   []event
	no     uint32
	addrs  Endpoints
	policy Policy
	ends   [2]tcp
	server server
	client dialogue
	arena  []byte

	// This host.
	eng      *Session
	up       bool
	memory   []byte // what the engine remembers, as of its latest verdicts
	forgets  bool   // a helper that starts does not get it
	bypass   bool   // with no helper packets pass unread
	gen      uint8  // of the engine, from 1 on
	gone     bool   // the first helper was there after the connection
	label    uint8  // 0 never, 1 in TLS, 2 readable after TLS
	held     []waiting
	tag      uint32
	out      []Verdict
	scratch  []byte
	opens    []opened
	busy     int // one port in so many is taken
	refusals int // for that
	slop     time.Duration
	sent     [2][]int16 // what passed at each position, -1 nothing
	sentGen  [2][]uint8
	restarts []time.Duration
	spoken   [2]bool     // this engine passed something
	firsts   [2][][2]int // where that was, and how many bytes, for each engine that did not see the start

	// The network.
	loss, dup, jitter int // of a hundred
	losses            int // still to come, at most
	delay             time.Duration
	late              [2][2]time.Duration // arrival of the latest packet on each hop

	kind string // of the first fault
	what string
	log  *strings.Builder
}

var searchEpoch = time.Unix(1700000000, 0)

// fault says what is wrong; the first one counts.
func (w *world) fault(kind, format string, args ...any) {
	if w.kind == "" {
		w.kind, w.what = kind, fmt.Sprintf(format, args...)
		w.trace("FAULT %s: %s", kind, w.what)
	}
}

func (w *world) trace(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%9.3f ", w.now.Seconds())
		fmt.Fprintf(w.log, format+"\n", args...)
	}
}

func (w *world) push(e event) {
	w.no++
	e.no = w.no
	w.heap = append(w.heap, e)
	h := w.heap
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !before(&h[i], &h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func before(a, b *event) bool { return a.at < b.at || a.at == b.at && a.no < b.no }

func (w *world) pop() event {
	h := w.heap
	e := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && before(&h[c+1], &h[c]) {
			c++
		}
		if !before(&h[c], &h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	w.heap = h
	return e
}

// copied is b in memory of the dialogue's own.
func (w *world) copied(b []byte) []byte {
	if cap(w.arena)-len(w.arena) < len(b) {
		w.arena = make([]byte, 0, max(1<<14, len(b)))
	}
	n := len(w.arena)
	w.arena = append(w.arena, b...)
	return w.arena[n:len(w.arena):len(w.arena)]
}

// run lets things happen until nothing more does, or the time is over.
func (w *world) run(limit time.Duration) {
	for steps := 0; w.kind == ""; steps++ {
		if steps > 200000 {
			w.fault("endless", "200,000 events")
			return
		}
		if w.up {
			if dl := w.eng.Deadline(); !dl.IsZero() {
				at := max(dl.Sub(searchEpoch)+w.slop, w.now)
				if len(w.heap) == 0 || at < w.heap[0].at {
					w.now = at
					w.expire()
					continue
				}
			}
		}
		if len(w.heap) == 0 || w.heap[0].at > limit {
			return
		}
		e := w.pop()
		w.now = e.at
		w.happen(&e)
	}
}

func (w *world) happen(e *event) {
	switch e.kind {
	case evBox:
		w.box(e.p)
	case evEnd:
		w.ends[1-e.p.dir].receive(e.p)
	case evTimer:
		w.ends[e.dir].timeout(e.gen)
	case evAck:
		if t := &w.ends[e.dir]; t.ackDue && e.gen == t.ackGen {
			t.sendAck()
		}
	case evServer:
		w.server.next()
	case evClient:
		w.client.next()
	case evThink:
		w.client.think()
	case evDown:
		w.stop()
	case evUp:
		w.start()
	}
}

// transmit sends a packet on its way to this host.
func (w *world) transmit(p packet) { w.hop(p, 0) }

// hop carries a packet one hop: 0 to this host, 1 away from it.
func (w *world) hop(p packet, hop int) {
	kind := evBox + eventKind(hop)
	d := w.dice
	if w.loss > 0 && w.losses > 0 && d.chance(w.loss) {
		w.losses--
		if len(p.b) > 0 {
			w.trace("  lost %s", w.show(p))
		}
		return
	}
	at := w.now + w.delay
	if w.jitter > 0 && d.chance(w.jitter) {
		at += d.ms(1, 400) // overtaken by others
	} else {
		at = max(at, w.late[p.dir][hop])
		w.late[p.dir][hop] = at
	}
	w.push(event{at: at, kind: kind, p: p})
	if w.dup > 0 && len(p.b) > 0 && d.chance(w.dup) {
		w.push(event{at: at + d.ms(0, 600), kind: kind, p: p})
	}
}

// show is a packet for the trace.
func (w *world) show(p packet) string {
	at := int(int32(p.seq - w.ends[p.dir].iss))
	ack := int(int32(p.ack - w.ends[1-p.dir].iss))
	return fmt.Sprintf("%v %d+%d %q ack %d", p.dir, at, len(p.b), p.b, ack)
}

// readable tells the program at the other end of dir that there is something to read.
func (w *world) readable(dir Direction) {
	if dir == FromServer {
		w.server.read()
	} else {
		w.client.read()
	}
}

// own reports whether an address is the client's, as the server may be told it.
func (w *world) own(a netip.AddrPort) bool {
	return a.Addr() == w.addrs.Client.Addr() && a.Port() >= 1024
}
