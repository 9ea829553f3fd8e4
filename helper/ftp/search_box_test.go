package ftp

import (
	"time"
)

// longestHold is how long a segment may be without a verdict.
const longestHold = 75 * time.Second

// Open is the kernel: it takes every expectation but those for busy ports, and checks what it is asked for.
func (w *world) Open(d DataConn) error {
	e := &w.addrs
	bad := d.Port < 1024 || d.To.Port() < 1024 || d.At.Port() != d.Port
	switch {
	case d.Passive:
		bad = bad || d.To.Addr() != e.Backend.Addr() || d.At.Addr() != e.VIP.Addr()
	default:
		bad = bad || d.To.Addr() != e.Client.Addr() || d.At.Addr() != e.Seen.Addr()
	}
	if bad {
		w.fault("open", "asked to open %+v", d)
	}
	if w.busy > 0 && (d.Passive || e.OneArm()) && int(d.Port)*7919%w.busy == 0 {
		w.refusals++
		return ErrPortBusy
	}
	w.trace("  open %v %v to %v", d.Command, d.At, d.To)
	w.opens = append(w.opens, opened{d, w.now})
	return nil
}

// latest is the expectation made last.
func (w *world) latest() (o opened) {
	if n := len(w.opens); n > 0 {
		o = w.opens[n-1]
	}
	return o
}

// start starts a helper.
func (w *world) start() {
	how := Midway
	switch {
	case w.gen == 0 && !w.gone:
		how = Fresh
	case w.label == 1:
		how = Encrypted
	}
	w.eng = NewSession(&w.addrs, &w.policy, how, w)
	w.up = true
	if len(w.memory) > 0 && !w.forgets && w.eng.Recall(w.memory) {
		w.trace("helper %d goes on", w.gen) // what it knows is as if it had never ended
	} else {
		w.gen++
		w.spoken = [2]bool{}
		w.trace("helper %d starts, %d", w.gen, how)
	}
	if w.log != nil {
		w.eng.OnEvent(func(e Event) { w.trace("  %v %v %v", e.Kind, e.Reason, e.Command) })
	}
}

// stop ends the helper: what it held is lost.
func (w *world) stop() {
	if !w.up {
		return
	}
	w.trace("helper %d ends", w.gen)
	w.up = false
	w.held = w.held[:0]
	w.restarts = append(w.restarts, w.now)
	w.push(event{at: w.now + pick(w.dice, 0, w.dice.ms(1, 100), w.dice.ms(100, 2500)), kind: evUp})
}

// box is what this host does with a packet.
func (w *world) box(p packet) {
	if len(p.b) == 0 {
		w.hop(p, 1) // is not queued
		return
	}
	if !w.up {
		w.trace("no helper: %s", w.show(p))
		if w.bypass {
			p.gen = 0
			w.forward(p)
		}
		return
	}
	if w.label == 1 && p.b[0] >= 20 && p.b[0] <= 23 {
		w.trace("in TLS: %s", w.show(p))
		p.gen = w.gen | inTLS
		w.forward(p)
		return
	}
	w.trace("%s", w.show(p))
	w.tag++
	w.held = append(w.held, waiting{w.tag, p, w.now})
	w.scratch = append(w.scratch[:0], p.b...)
	w.out = w.eng.Segment(searchEpoch.Add(w.now), p.dir, Segment{Seq: p.seq, Ack: p.ack, Payload: w.scratch}, w.tag, w.out[:0])
	w.verdicts()
	for i := range w.scratch {
		w.scratch[i] = '#'
	}
	if w.log != nil && len(w.held) > 0 && w.held[len(w.held)-1].tag == w.tag {
		w.trace("  held")
	}
}

func (w *world) expire() {
	w.trace("  time is over")
	w.out = w.eng.Expire(searchEpoch.Add(w.now), w.out[:0])
	w.verdicts()
	if dl := w.eng.Deadline(); !dl.IsZero() && dl.Sub(searchEpoch) <= w.now {
		w.fault("deadline", "a deadline that has passed")
	}
}

// verdicts carries out what the engine decided.
func (w *world) verdicts() {
	w.memory = w.eng.Memory(w.memory[:0])
	for i := range w.out {
		v := &w.out[i]
		k := len(w.held) - 1
		for k >= 0 && w.held[k].tag != v.Tag {
			k--
		}
		if k < 0 {
			w.fault("verdict", "a verdict for %d, which has none to come", v.Tag)
			return
		}
		p := w.held[k].p
		w.held = append(w.held[:k], w.held[k+1:]...)
		switch v.Action {
		case Drop:
			w.trace("  drop %q", p.b)
			continue
		case Rewrite:
			if len(v.Payload) != len(p.b) {
				w.fault("length", "%q became %q", p.b, v.Payload)
				return
			}
			p.b = w.copied(v.Payload)
			w.trace("  as %q", p.b)
		case Pass:
			w.trace("  pass %q", p.b)
		}
		p.gen = w.gen
		if w.eng.Opaque() {
			p.gen |= inTLS
		}
		w.forward(p)
	}
	if len(w.held) > 0 && w.now-w.held[0].since > longestHold {
		w.fault("held", "%s is held since %v", w.show(w.held[0].p), w.held[0].since)
	}
	switch {
	case w.label == 0 && w.eng.Opaque():
		w.label = 1
	case w.label == 1 && !w.eng.Opaque():
		w.label = 2
	}
}

// forward sends a packet on, and checks that a byte that counts never goes on with two values.
func (w *world) forward(p packet) {
	at := int(int32(p.seq - w.ends[p.dir].iss))
	took := len(w.ends[1-p.dir].got)
	first := !w.spoken[p.dir]
	w.spoken[p.dir] = true
	if first && (p.gen > 1 || w.gone) {
		w.firsts[p.dir] = append(w.firsts[p.dir], [2]int{at, len(p.b)})
	}
	if first && len(p.b) == 1 && (p.gen > 1 || w.gone) {
		took = at + 1 // perhaps a keepalive of bytes that the engine never saw
	}
	if at+len(p.b) > took && at <= took+window && p.gen > 0 && p.gen&inTLS == 0 {
		for n := at + len(p.b); len(w.sent[p.dir]) < n; {
			w.sent[p.dir] = append(w.sent[p.dir], -1)
			w.sentGen[p.dir] = append(w.sentGen[p.dir], 0)
		}
		for k := max(at, took); k < at+len(p.b); k++ {
			c := int16(p.b[k-at])
			// An engine that did not see the start may begin again further back, and forget.
			if was := w.sent[p.dir][k]; was >= 0 && was != c && w.sentGen[p.dir][k] == p.gen && p.gen == 1 && !w.gone {
				w.fault("two values", "position %d of the %v passed as %q, now as %q", k, p.dir, byte(was), byte(c))
			}
			w.sent[p.dir][k], w.sentGen[p.dir][k] = c, p.gen
		}
	}
	w.hop(p, 1)
}

// inTLS marks what passed while the engine took the session to be in TLS.
const inTLS = 0x80

// way is how the bytes of a line came to an end.
type way struct {
	unread    bool // no engine was there for some of them
	opaque    bool // they passed as TLS
	straddles bool // several engines passed them
	gen       uint8
}

func wayOf(gens []uint8) (v way) {
	for _, g := range gens {
		v.unread = v.unread || g == 0
		v.opaque = v.opaque || g&inTLS != 0
		v.gen = g &^ inTLS
		v.straddles = v.straddles || (g^gens[0])&^inTLS != 0
	}
	return v
}
