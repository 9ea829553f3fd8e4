package ftp

import (
	"bytes"
	"encoding/binary"
	"time"
)

// What a helper that was killed had let go of an unfinished line, and in which form, nobody else knows. So a Session
// can say what it remembers, before its verdicts are carried out, and a Session of the next helper can begin with
// that. What was held never went on: TCP sends it again. What went on meanwhile without a helper is a gap like others.

// memoryVersion is the first byte of a memory. It changes with the fields of Session and stream.
const memoryVersion = 1

// MaxMemory is the size of the longest memory in bytes.
const MaxMemory = 1 << 10

// Memory appends to b what the session remembers of what has gone on: what is not acknowledged yet, the line that has
// no end yet, and which replies are due. It appends nothing where that is longer than MaxMemory, and where the session
// is encrypted.
func (s *Session) Memory(b []byte) []byte {
	if s.opaque {
		return b
	}
	from := len(b)
	b = append(b, memoryVersion)
	b = appendFlags(b, s.epsvAll, s.looks[0], s.looks[1], s.accepted, s.offered, s.stats.TLS, s.multi.refused)
	var p slow
	if s.slow != nil {
		p = *s.slow
	}
	b = appendText(b, p.text)
	b = append(b, byte(p.length))                              //nolint:gosec // 16 at most
	b = binary.BigEndian.AppendUint16(b, uint16(p.gone))       //nolint:gosec // maxLine at most
	b = binary.BigEndian.AppendUint16(b, uint16(s.multi.code)) //nolint:gosec // 659 at most
	b = appendText(b, s.multi.body)
	b = append(b, s.pending.n)
	for _, a := range s.pending.q[:s.pending.n] {
		b = append(b, byte(a))
	}
	for i := range s.streams {
		if b = s.streams[i].memory(b); len(b)-from > MaxMemory {
			return b[:from]
		}
	}
	return b
}

// memory appends what a stream remembers.
func (t *stream) memory(b []byte) []byte {
	from := 0
	if t.hasAcked {
		from = max(min(t.index(t.acked), t.decided, t.line), 0)
	}
	prev := t.prev
	if from > 0 {
		prev = t.orig[from-1]
	}
	to := max(t.decided, from)
	b = appendFlags(b, t.known, t.met, t.guess, t.wary, t.synced, t.unsure, t.origin && from == 0, t.skipped)
	b = appendFlags(b, t.edited, t.hasAcked, t.hasHeard)
	b = append(b, byte(t.mode), prev)
	b = append(b, t.head[:]...)
	for _, n := range [...]uint32{t.base + uint32(from), t.editedTo, t.acked, t.heard} { //nolint:gosec // an index
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(max(min(t.line, to)-from, 0))) //nolint:gosec // 16 KiB at most
	b = appendText(b, t.orig[from:to])
	sent := t.out(from, to)
	if bytes.Equal(sent, t.orig[from:to]) {
		sent = nil
	}
	b = appendText(b, sent)
	var h trouble
	if t.trouble != nil {
		h.seen, h.later = t.trouble.seen, t.trouble.later
	}
	for _, w := range h.seen {
		b = append(b, w.word[:]...)
		b = append(b, w.step, w.delim, w.skip)
	}
	b = append(b, byte(len(h.later))) //nolint:gosec // maxLater
	for _, p := range h.later {
		b = binary.BigEndian.AppendUint32(b, p.seq)
		b = appendText(b, p.b)
	}
	return b
}

// Recall makes a new Session remember what another one did. It reports whether m is a memory; otherwise nothing happens.
func (s *Session) Recall(m []byte) bool {
	r := reader{b: m}
	if r.byte() != memoryVersion {
		return false
	}
	n := *s
	r.flags(&n.epsvAll, &n.looks[0], &n.looks[1], &n.accepted, &n.offered, &n.stats.TLS, &n.multi.refused)
	if p := (slow{text: string(r.text()), length: int(r.byte()), gone: int(r.uint16())}); p.text != "" {
		n.slow = &p
	}
	n.multi.code = int16(r.uint16()) //nolint:gosec // as it was written
	n.multi.body = string(r.text())
	n.pending.n = r.byte()
	if n.pending.n > maxPending {
		return false
	}
	for i := range n.pending.q[:n.pending.n] {
		n.pending.q[i] = await(r.byte())
	}
	for i := range n.streams {
		r.stream(&n.streams[i])
	}
	if r.short || len(r.b) > 0 {
		return false
	}
	n.fresh, n.opaque = false, false // something may have gone on meanwhile, unseen
	n.credit, n.since = true, time.Duration(0)
	*s = n
	return true
}

// stream reads what stream.memory wrote.
func (r *reader) stream(t *stream) {
	*t = stream{}
	r.flags(&t.known, &t.met, &t.guess, &t.wary, &t.synced, &t.unsure, &t.origin, &t.skipped)
	r.flags(&t.edited, &t.hasAcked, &t.hasHeard)
	t.mode, t.prev = lineMode(r.byte()), r.byte()
	copy(t.head[:], r.take(len(t.head)))
	t.base, t.editedTo, t.acked, t.heard = r.uint32(), r.uint32(), r.uint32(), r.uint32()
	t.line = int(r.uint16())
	t.orig = append(grow(nil, 0), r.text()...)
	sent := r.text()
	t.decided, t.scanned = len(t.orig), len(t.orig)
	if len(sent) > 0 && len(sent) != len(t.orig) || t.line > len(t.orig) || t.mode > lineCipher {
		r.short = true
		return
	}
	t.sent = append(t.sent, sent...)
	var seen [2]watch
	for i := range seen {
		w := &seen[i]
		copy(w.word[:], r.take(len(w.word)))
		w.step, w.delim, w.skip = r.byte(), r.byte(), r.byte()
	}
	later := int(r.byte())
	if later > maxLater {
		r.short = true
		return
	}
	if seen != [2]watch{} || later > 0 {
		t.hitch().seen = seen
	}
	for range later {
		p := fragment{seq: r.uint32()}
		p.b = append(p.b, r.text()...)
		t.trouble.later = append(t.trouble.later, p)
	}
}

// appendFlags appends up to eight flags as a byte.
func appendFlags(b []byte, flags ...bool) []byte {
	var c byte
	for i, f := range flags {
		if f {
			c |= 1 << i
		}
	}
	return append(b, c)
}

// appendText appends bytes with their number.
func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(text))) //nolint:gosec // what is longer is no memory
	return append(b, text...)
}

// reader takes a memory apart. Behind the end it reads zeros.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) text() []byte   { return r.take(int(r.uint16())) }

func (r *reader) flags(flags ...*bool) {
	c := r.byte()
	for i, f := range flags {
		*f = c>>i&1 != 0
	}
}
