package ftp

import (
	"net/netip"
	"time"
)

// hostile is a client that makes its segments itself, and sends them as it likes.
type hostile struct {
	w       *world
	t       *tcp
	b       []byte // what it means to have said, from its first byte on
	pos     int    // so much of it was sent
	steps   int
	liar    bool // sends wrong acknowledgements
	tiny    bool // sends few bytes at a time
	slow    int  // of a hundred, pauses
	tries   int
	over    bool
	repeats []repeat
	tricks  uint32 // which it knows
	words   uint32 // what it says
}

// repeat is a segment that is sent again and again.
type repeat struct {
	at    int
	b     []byte
	times int
	gap   time.Duration
	fill  int // then what is before it is filled from here
}

func (h *hostile) roll(w *world) {
	d := w.dice
	*h = hostile{w: w, t: &w.ends[FromClient], b: h.b[:0], steps: d.within(3, 30), liar: d.chance(15), tiny: d.chance(40), slow: pick(d, 5, 20, 60)}
	h.t.raw = true
	h.tricks, h.words = ^uint32(0), ^uint32(0)
	if d.chance(70) {
		h.tricks, h.words = 0, 0
		for _, n := range [...]int{9, 9} {
			h.tricks |= 1 << d.n(n)
		}
		for _, n := range [...]int{13, 13, 4} {
			h.words |= 1 << d.n(n)
		}
	}
}

func (h *hostile) done() bool { return h.over }
func (h *hostile) think()     {}

func (h *hostile) wanted(a netip.AddrPort) bool { return h.w.allowed(a) }

// read acknowledges by itself; a client that lies does not care.
func (h *hostile) read() {}

// phrase is something to say.
func (h *hostile) phrase() string {
	d := h.w.dice
	v6 := h.w.addrs.Client.Addr().Is6()
	var s string
	k := d.n(13)
	for h.words>>k&1 == 0 {
		k = (k + 1) % 13
	}
	switch k {
	case 0, 1, 2, 3:
		s = d.randomCase("PORT") + " 10,2,1,12,8,174"
	case 4, 5:
		s = d.randomCase("EPRT") + pick(d, " |1|10.2.1.12|2222|", " |2|2001:db8::bad|2222|", " |1|10.2.1.12|02222|")
	case 6:
		s = "LPRT 4,4,10,2,1,12,2,8,174"
	case 7:
		s = "PORT 203,0,113,9,195,80"
		if v6 {
			s = "EPRT |2|2001:db8:1::9|50000|"
		}
	case 8:
		s = "USER anna"
	case 9:
		s = "PASV"
	case 10:
		s = pick(d, "EPSV", "EPSV ALL", "STAT", "QUIT")
	case 11:
		s = pick(d, "AUTH TLS", "AUTH SSL", "\x16\x03", "AUTH TLS\r\n"+record(d, "R"), record(d, "C"))
	case 12:
		n := pick(d, 500, 511, 512, 513, 700, 1023, 2000)
		b := make([]byte, n)
		for i := range b {
			b[i] = "x \x00\xffP"[min(d.n(40), 4)%5]
		}
		if d.chance(70) {
			for i := range b {
				b[i] = 'x'
			}
		}
		s = string(b) + pick(d, "", "PORT 10,2,1,12,8,174")
	default:
		s = "NOOP"
	}
	if d.chance(25) {
		s = h.spoil(s)
	}
	return s + pick(d, "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\x00", "\r\r\n", "")
}

// spoil puts something into a line that some servers do not see.
func (h *hostile) spoil(s string) string {
	d := h.w.dice
	odd := pick(d, " ", "\x00", "\xff\xf1", "\xff\xf4\xff\xf2", "\xff\xfdX", "\xff", "\t", "\r", "NOOP\r", "x", "\x80", "\x16")
	k := 0
	if d.chance(60) {
		k = d.within(0, min(len(s), 6))
	}
	return s[:k] + odd + s[k:]
}

// have makes sure that there are n bytes to say from pos on.
func (h *hostile) have(n int) {
	for len(h.b) < h.pos+n {
		h.b = append(h.b, h.phrase()...)
	}
}

// sendAs sends bytes as position at of the stream.
func (h *hostile) sendAs(at int, b []byte) {
	d := h.w.dice
	ack := h.t.ack()
	if h.liar && d.chance(40) {
		ack += uint32(int32(pick(d, 1, 10, 100, 1000, 70000, -1, -10, -70000, 1<<30)))
	}
	h.t.high = max(h.t.high, at+len(b))
	h.t.nxt = max(h.t.nxt, at+len(b))
	h.w.transmit(packet{dir: FromClient, seq: h.t.iss + uint32(at), ack: ack, b: h.w.copied(b)})
}

// size is how large the next piece is.
func (h *hostile) size() int {
	d := h.w.dice
	if h.tiny {
		return d.within(1, 4)
	}
	return pick(d, 1, 2, d.within(1, 8), d.within(1, 40), d.within(1, 200))
}

// other is b with other bytes.
func (h *hostile) other(b []byte) []byte {
	d := h.w.dice
	b = h.w.copied(b)
	switch d.n(3) {
	case 0:
		copy(b, h.phrase())
	case 1:
		b[d.n(len(b))] ^= byte(1 + d.n(255))
	default:
		p := h.phrase()
		k := d.n(len(p))
		copy(b, p[k:])
	}
	return b
}

// next does one thing.
func (h *hostile) next() {
	d := h.w.dice
	wait := d.ms(0, 20)
	if d.chance(h.slow) {
		wait = pick(d, 10*time.Millisecond, 100*time.Millisecond, d.ms(190, 260), 500*time.Millisecond, time.Second, d.ms(1000, 5000))
	}
	switch {
	case len(h.repeats) > 0:
		wait = h.again()
	case h.steps <= 0:
		h.finish()
		return
	default:
		h.steps--
		h.act()
	}
	h.w.push(event{at: h.w.now + wait, kind: evClient})
}

// act chooses a trick.
func (h *hostile) act() {
	d := h.w.dice
	trick := d.n(20)
	if trick < 9 && h.tricks>>trick&1 == 0 {
		trick = 9
	}
	switch trick {
	case 0, 1: // beyond a gap, several times; then what is missing, and perhaps more
		n, k := h.size(), h.size()
		h.have(n + k)
		h.repeats = append(h.repeats, repeat{
			at: h.pos + k, b: h.w.copied(h.b[h.pos+k : h.pos+k+n]), times: d.within(1, 5), gap: d.ms(1, 300), fill: h.pos,
		})
		h.pos += n + k
	case 2: // again, from further back, with the same bytes or with others
		from := max(h.pos-d.within(1, 60), 0)
		n := min(h.size()+d.n(10), len(h.b)-from)
		if n > 0 {
			b := h.b[from : from+n]
			if d.chance(60) {
				b = h.other(b)
			}
			h.sendAs(from, b)
		}
	case 3: // from before the first byte
		k := d.within(1, 30)
		h.have(1)
		b := append(make([]byte, k), h.b[:min(len(h.b), h.size())]...)
		if d.chance(50) {
			copy(b, h.phrase())
		}
		h.sendAs(-k, b)
	case 4: // what is not acknowledged
		h.fill()
	case 5: // a keepalive
		if h.pos > 0 {
			h.sendAs(h.pos-1, []byte{byte(d.n(256))})
		}
	case 6: // far ahead
		h.sendAs(h.pos+pick(d, 100, 5000, 20000, 70000, 1<<30), []byte(h.phrase()+"x"))
	case 7: // other bytes later than at first
		if h.pos < len(h.b) {
			copy(h.b[h.pos:], h.other(h.b[h.pos:]))
		}
	case 8:
		if len(h.w.restarts) < 2 {
			h.w.stop()
		}
	default:
		n := h.size()
		h.have(n)
		h.sendAs(h.pos, h.b[h.pos:h.pos+n])
		h.pos += n
	}
}

// again repeats a segment beyond a gap, and fills the gap in the end.
func (h *hostile) again() time.Duration {
	d := h.w.dice
	r := &h.repeats[0]
	if r.times > 0 {
		r.times--
		h.sendAs(r.at, r.b)
		return r.gap
	}
	from, n := r.fill, r.at-r.fill
	switch d.n(4) {
	case 0: // more than was missing
		n = min(n+h.size(), len(h.b)-from)
	case 1: // all of it
		n = len(h.b) - from
	}
	b := h.b[from : from+n]
	if d.chance(30) {
		b = h.other(b)
		copy(h.b[from:], b)
	}
	h.sendAs(from, b)
	h.repeats = h.repeats[1:]
	return d.ms(0, 300)
}

// fill sends what the server did not acknowledge.
func (h *hostile) fill() {
	from := min(h.t.una, h.pos)
	if from < h.pos {
		n := min(h.pos-from, pick(h.w.dice, 1, h.size(), 1460))
		h.sendAs(from, h.b[from:from+n])
	}
}

// finish sends all again until the server has it.
func (h *hostile) finish() {
	h.tries++
	if h.tries == 1 {
		h.have(1)
		if k := len(h.b); h.pos < k {
			h.sendAs(h.pos, h.b[h.pos:])
			h.pos = k
		}
	}
	if h.t.una >= h.pos || h.tries > 12 {
		h.over = true
		return
	}
	h.liar = h.liar && h.tries < 4
	h.fill()
	h.w.push(event{at: h.w.now + h.w.dice.ms(50, 1500), kind: evClient})
}
