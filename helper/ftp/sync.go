package ftp

import (
	"bytes"
	"net/netip"
	"slices"
)

// again says what becomes of a segment that starts before the next expected byte.
type again uint8

const (
	againOK     again = iota // known bytes, unchanged
	againBefore              // reaches back to before the pick-up, without a gap
	againStart               // the stream starts farther back, with a gap: what lies beyond comes again
	againPass
	againDrop
)

// again compares a retransmission with what was received first. at is its position, before 0 where it starts before
// everything that is known.
func (s *Session) again(dir Direction, t *stream, at int, b []byte) again {
	end := at + len(b)
	from := max(at, 0)
	if from < end && from < len(t.orig) {
		to := min(end, len(t.orig))
		if !bytes.Equal(t.orig[from:to], b[from-at:to-at]) {
			if len(b) == 1 && end == len(t.orig) {
				return againOK // a keepalive with a garbage byte (RFC 9293, section 3.8.4)
			}
			s.event(Event{Kind: EventOverlap, Dir: dir})
			return againDrop
		}
	}
	if at >= 0 {
		return againOK
	}
	if t.has(t.base) && (dir == FromClient || !t.origin) { // the receiver looks at none of the bytes before base
		if end <= 0 {
			return againPass
		}
		return againDrop // the acknowledgement is on its way, and then the rest comes by itself
	}
	claimed := dir == FromServer && (t.hasHeard && int32(t.heard-t.base) >= 0 || t.has(t.base)) // by the client, which may lie
	if claimed && end <= 0 && !t.repeats(t.base+uint32(at), s.now, gapTime) {                   //nolint:gosec // an index
		s.event(Event{Kind: EventStale, Dir: dir})
		return againDrop
	}
	if t.origin && !t.skipped && at > -maxHistory {
		switch {
		case end < 0:
			return againStart
		case t.holds():
			return againDrop // comes again, when the others are gone
		}
		return againBefore
	}
	wait := gapTime
	if t.hasHeard || t.skipped {
		wait = certainTime
	}
	if !t.holds() && t.repeats(t.base+uint32(at), s.now, wait) { //nolint:gosec // an index
		return againStart // what was taken for the start is somebody else's, or the gap before it was none
	}
	s.event(Event{Kind: EventStale, Dir: dir})
	if dir == FromServer && !t.origin && !t.skipped && (!t.edited || int32(t.base+uint32(at)-t.editedTo) >= 0) {
		return againPass
	}
	return againDrop
}

// before reads bytes that come right before all that is known: after a pick-up the segments of a burst may come in any
// order. Their last line goes on in what has been let go already, so it is not acted on.
func (s *Session) before(dir Direction, t *stream, b []byte) {
	k := len(b)
	first := &stream{
		orig: bytes.Clone(b), base: t.base - uint32(k), known: true, origin: true,
		synced: dir == FromServer, unsure: !s.fresh || dir == FromClient,
	}
	after := s.multi
	if dir == FromServer {
		s.multi = multi{}
	}
	s.feed(dir, first)
	if dir == FromServer && !s.multi.endsIn(slices.Concat(first.orig[first.line:], t.orig[:t.line])) {
		after = s.multi
	}
	if dir == FromServer {
		s.multi = after
	}
	// Where what follows was taken for the start of a line, it may be the rest of this one.
	sure := t.hasHeard && t.heard == t.base
	switch tail := first.orig[first.line:]; {
	case len(tail) == 0:
	case dir == FromServer:
		if len(tail) > 4 && string(tail[:3]) == "227" {
			blank(first, first.line+4, k, ' ')
		}
		if n := len(bytes.TrimRight(tail, "0123456789,")); s.restNumbers(slices.Concat(tail[n:], t.orig)) >= max(len(tail)-n, 1) { // in two parts
			first.decided = min(first.decided, first.line+n)
			blank(first, first.line+n, k, ' ')
		}
	case sure && mayBeActive(tail), first.decided < k:
		s.refuse(dir, CmdNone, ReasonTooSlow, netip.AddrPort{})
		if sure {
			first.decided = min(first.decided, first.line)
		}
		blank(first, first.line, k, 'x')
	}
	one := t.line == 0 && t.mode == lineRead // nothing of t has ended a line: it goes on with this one
	if dir == FromServer && one {
		one = first.line < k && first.orig[first.line] >= '1' && first.orig[first.line] <= '6' // as replies begin
	}
	t.orig = slices.Insert(t.orig, 0, b...)
	t.base -= uint32(k)
	if sure {
		t.heard = t.base
	}
	t.line, t.scanned, t.decided = t.line+k, t.scanned+k, t.decided+k
	if len(t.sent) > 0 {
		t.sentAt += k
	}
	if len(first.sent) > 0 {
		t.cover(0)
		copy(t.sent, first.out(0, k))
		t.edited = true
		if t.editedTo == 0 || int32(first.editedTo-t.editedTo) > 0 {
			t.editedTo = first.editedTo
		}
	}
	if one {
		t.line, t.mode, t.synced, t.unsure, t.head = first.line, first.mode, first.synced, first.unsure, first.head
		if first.trouble != nil {
			t.hitch().seen = first.trouble.seen
		}
		// What has gone on is behind that line's beginning now: with it, it may be a verb.
		if dir == FromClient && (t.mode == linePass || t.mode == lineCipher) && t.watchAll(t.orig[k:t.scanned]) {
			s.spoilTail(t)
		}
	}
	s.slow = nil
}

// endsIn reports whether the lines of b end a multi-line reply.
func (m *multi) endsIn(b []byte) bool {
	if m.code == 0 {
		return true
	}
	for line := range bytes.Lines(b) {
		if code, sep, ok := replyCode(splitEnd(line)); ok && sep == ' ' && code == int(m.code) {
			return true
		}
	}
	return false
}

// giveUp releases everything held, as it is right for a line that may never be completed in our sight.
func (s *Session) giveUp(dir Direction, t *stream, out []Verdict) []Verdict {
	if !t.holds() {
		return out
	}
	s.letGo(dir, t)
	return t.release(out)
}

// flush releases everything held, as it is.
func (s *Session) flush(t *stream, out []Verdict) []Verdict {
	t.decided = len(t.orig)
	return t.release(out)
}
