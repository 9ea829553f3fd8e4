package ftp

import "time"

// window is how far ahead a receiver takes bytes.
const window = 60000

// tcp is one end of a connection: a sender and a receiver (RFC 9293), both of few words. Positions are counted from
// the first byte of a direction.
type tcp struct {
	w   *world
	dir Direction // of what it sends
	iss uint32    // sequence number of the first byte that it sends

	// The sender.
	buf      []byte // all that was written
	una, nxt int    // acknowledged; to be sent next
	high     int    // the highest that was sent
	ends     []int  // where segments ended when they were sent first
	mss      int
	nagle    bool
	bsd      bool // a time-out sends what was not sent yet along with what was (BSD); otherwise a probe does (Linux)
	recut    int  // segments are repeated: 0 as large as they can be, 1 as they were, 2 of any size
	cwnd     int  // in segments
	inflight int  // segments since una, about
	base     time.Duration
	rto      time.Duration
	probed   bool
	dups     int
	timer    uint32 // generation
	armed    bool
	fires    time.Duration
	raw      bool // a hostile client makes its segments itself

	// The receiver.
	got     []byte
	gens    []uint8 // which engine passed a byte that was taken
	early   []chunk
	delayed bool // acknowledges 40 ms later
	ackGen  uint32
	ackDue  bool
}

// chunk is something that came too early.
type chunk struct {
	at  int
	b   []byte
	gen uint8
}

func (t *tcp) peer() *tcp { return &t.w.ends[1-t.dir] }

// roll chooses what kind of TCP this is.
func (t *tcp) roll(w *world, dir Direction) {
	d := w.dice
	*t = tcp{
		w: w, dir: dir, buf: t.buf[:0], ends: t.ends[:0], got: t.got[:0], gens: t.gens[:0], early: t.early[:0],
		iss: uint32(d.next()), mss: pick(d, 1460, 1460, 536, 88), nagle: d.chance(50), bsd: d.chance(30),
		recut: d.n(3), cwnd: 10, base: pick[time.Duration](d, 200, 250, 400, 1000) * time.Millisecond, delayed: d.chance(30),
	}
	if d.chance(20) {
		t.iss = -uint32(d.n(200))
	}
	t.rto = t.base
}

// write sends b as soon as it may go.
func (t *tcp) write(b string) {
	t.buf = append(t.buf, b...)
	t.output()
}

func (t *tcp) output() {
	for t.nxt < len(t.buf) && t.inflight < t.cwnd {
		n := t.size()
		if t.nagle && t.nxt >= t.high && n < t.mss && t.una < t.nxt {
			break // RFC 896
		}
		t.emit(n)
	}
	t.arm()
}

// size is how many bytes the next segment has.
func (t *tcp) size() int {
	n := min(t.mss, len(t.buf)-t.nxt)
	if t.nxt >= t.high {
		return n
	}
	if !t.bsd {
		n = min(n, t.high-t.nxt)
	}
	switch t.recut {
	case 1:
		for _, e := range t.ends {
			if e > t.nxt {
				return min(n, e-t.nxt)
			}
		}
	case 2:
		return t.w.dice.within(1, n)
	}
	return n
}

// emit sends the next n bytes.
func (t *tcp) emit(n int) {
	if t.nxt >= t.high {
		t.ends = append(t.ends, t.nxt+n)
	}
	t.send(t.nxt, t.buf[t.nxt:t.nxt+n])
	t.nxt += n
	t.high = max(t.high, t.nxt)
	t.inflight++
}

// send sends a segment, whatever the state.
func (t *tcp) send(at int, b []byte) {
	t.ackDue = false
	t.w.transmit(packet{dir: t.dir, seq: t.iss + uint32(at), ack: t.ack(), b: b})
}

func (t *tcp) ack() uint32 { return t.peer().iss + uint32(len(t.got)) }

// arm sets the timer: first for a tail loss probe (RFC 8985, section 7), then for a retransmission.
func (t *tcp) arm() {
	if t.raw || t.armed || t.una >= t.nxt {
		return
	}
	after := t.rto
	if !t.probed && !t.bsd {
		after = min(after, 300*time.Millisecond)
	}
	t.timer++
	t.armed, t.fires = true, t.w.now+after
	t.w.push(event{at: t.fires, kind: evTimer, dir: t.dir, gen: t.timer})
}

func (t *tcp) timeout(gen uint32) {
	if gen != t.timer || !t.armed {
		return
	}
	t.armed = false
	if t.una >= t.high {
		return
	}
	if !t.probed && !t.bsd {
		t.probed = true
		if t.nxt < len(t.buf) && t.nxt >= t.high {
			t.emit(min(t.mss, len(t.buf)-t.nxt)) // new data, whatever the window and RFC 896 say
		} else {
			from := t.una
			for _, e := range t.ends {
				if e > from && e < t.high {
					from = e
				}
			}
			t.send(from, t.buf[from:t.high])
		}
		t.arm()
		return
	}
	t.rto = min(2*t.rto, 20*time.Second)
	t.nxt, t.inflight, t.cwnd = t.una, 0, 1
	t.output()
}

// acked takes an acknowledgement, and reports whether a segment with it may be taken (RFC 5961, section 5.2).
func (t *tcp) acked(ack uint32, payload bool) bool {
	k := int(int32(ack - t.iss))
	switch {
	case k > t.high || k < t.una-window:
		return false
	case k > t.una:
		t.una, t.nxt = k, max(t.nxt, k)
		t.rto, t.probed, t.dups, t.armed = t.base, false, 0, false
		t.cwnd = min(t.cwnd+1, 10)
		t.inflight = 0
		for _, e := range t.ends {
			if e > t.una && e <= t.nxt {
				t.inflight++
			}
		}
		if !t.raw {
			t.output()
		}
	case k == t.una && !payload && t.una < t.high && !t.raw:
		if t.dups++; t.dups == 3 { // RFC 5681, section 3.2
			at := t.nxt
			t.nxt = t.una
			n := min(t.size(), t.high-t.una)
			t.nxt = at
			t.send(t.una, t.buf[t.una:t.una+n])
		}
	}
	return true
}

// receive takes a segment.
func (t *tcp) receive(p packet) {
	ok := t.acked(p.ack, len(p.b) > 0)
	if len(p.b) == 0 {
		return
	}
	at := int(int32(p.seq - t.peer().iss))
	end := at + len(p.b)
	rcv := len(t.got)
	if !ok || end <= rcv || at > rcv+window {
		t.sendAck()
		return
	}
	if at > rcv {
		t.early = append(t.early, chunk{at: at, b: p.b, gen: p.gen})
		t.sendAck()
		return
	}
	t.take(p.b[rcv-at:], p.gen)
	for again := true; again; {
		again = false
		for _, c := range t.early { // whoever came first is right
			if k := len(t.got) - c.at; k >= 0 && k < len(c.b) {
				t.take(c.b[k:k+1], c.gen)
				again = true
				break
			}
		}
	}
	keep := t.early[:0]
	for _, c := range t.early {
		if c.at+len(c.b) > len(t.got) {
			keep = append(keep, c)
		}
	}
	t.early = keep
	if t.delayed && len(t.early) == 0 {
		if !t.ackDue {
			t.ackDue = true
			t.ackGen++
			t.w.push(event{at: t.w.now + 40*time.Millisecond, kind: evAck, dir: t.dir, gen: t.ackGen})
		}
	} else {
		t.sendAck()
	}
	t.w.readable(t.dir)
}

func (t *tcp) take(b []byte, gen uint8) {
	t.got = append(t.got, b...)
	for range b {
		t.gens = append(t.gens, gen)
	}
}

// sendAck sends an acknowledgement alone.
func (t *tcp) sendAck() {
	t.ackDue = false
	t.w.transmit(packet{dir: t.dir, seq: t.iss + uint32(t.nxt), ack: t.ack()})
}

// keepalive repeats the last byte, but not its value (RFC 9293, section 3.8.4).
func (t *tcp) keepalive() {
	if t.una == t.high && t.high > 0 && t.una == len(t.buf) {
		t.send(t.una-1, t.w.copied([]byte{0}))
	}
}
