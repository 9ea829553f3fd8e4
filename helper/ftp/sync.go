package ftp

import (
	"bytes"
	"net/netip"
	"time"
)

// begin looks at the first segment of all. A session that starts with the
// server's greeting is seen from its start; any other is picked up in the
// middle, because the helper was restarted or the connection moved here. Then
// the answer to one command from before may come.
func (s *Session) begin(now time.Time, dir Direction, b []byte) {
	s.begun, s.born = true, now
	code, _, ok := replyCode(b)
	s.fresh = dir == FromServer && ok && (code == 220 || code == 120)
	s.credit = !s.fresh
	if dir == FromClient && tlsRecord(b) { // implicit TLS: the client speaks first
		s.opaque, s.stats.TLS = true, true
		s.event(Event{Kind: EventOpaque})
	}
}

// tlsRecord reports whether b starts with a TLS record header (RFC 8446, section 5.1).
func tlsRecord(b []byte) bool {
	return b[0] >= 0x14 && b[0] <= 0x17 && (len(b) == 1 || b[1] == 3)
}

// pickUp starts a stream at seq. In a session seen from its start the client's
// first byte is the start of a line; elsewhere a line start has to be found.
func (s *Session) pickUp(dir Direction, t *stream, seq uint32) {
	again := t.known
	t.reset(seq)
	t.synced = s.fresh && !again
	if !t.synced {
		s.event(Event{Kind: EventPickedUp, Dir: dir})
	}
}

// missed decides about a segment beyond a gap. Usually what is missing was
// lost on its way here and will come again. But when the sender repeats the
// segment after the gap over and over, the receiver has what is before it:
// then it never came this way, and never will.
func (s *Session) missed(dir Direction, t *stream, seq uint32) bool {
	if s.stats.TLS {
		return true // TLS records may pass by outside the queue
	}
	g := &t.hitch().gap
	if g.count == 0 || int32(seq-g.seq) < 0 {
		*g = gap{seq: seq, since: s.now}
	}
	if seq == g.seq {
		g.count++
	}
	if g.count >= gapCount && s.now-g.since >= gapTime {
		s.event(Event{Kind: EventGap, Dir: dir})
		t.redone = true // what is before it is the receiver's already
		return true
	}
	s.event(Event{Kind: EventEarly, Dir: dir})
	return false
}

// again says what becomes of a segment that starts before the next expected byte.
type again uint8

const (
	againOK     again = iota // known bytes, unchanged
	againBefore              // reaches back to before the pick-up, without a gap
	againStart               // the stream starts further back than was thought
	againPass
	againDrop
)

// again compares a retransmission with what was received first.
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
	early := t.origin && !t.redone && at > -maxHistory
	switch {
	case early && end >= 0 && t.holds():
		return againDrop // comes again, when those are gone
	case early && end >= 0:
		return againBefore
	case early && !s.fresh, end > len(t.orig):
		// In a session seen from its start a client that leaves a hole before
		// its first command is hiding something.
		return againStart
	}
	s.event(Event{Kind: EventStale, Dir: dir})
	if dir == FromServer && (!t.edited || int32(t.base+uint32(at)-t.editedTo) >= 0) {
		return againPass
	}
	return againDrop
}

// before reads k bytes that come right before all that is known: after a
// pick-up the segments of a burst may come in any order. Its last line may
// reach into what has gone on unread, so it is not acted on.
func (s *Session) before(dir Direction, t *stream, b []byte) {
	k := len(b)
	t.orig = append(t.orig, b...)
	copy(t.orig[k:], t.orig)
	copy(t.orig, b)
	if len(t.sent) > 0 {
		t.sentAt += k
	}
	t.base -= uint32(k)
	was := *t
	t.line, t.scanned, t.decided, t.mode = 0, 0, 0, lineRead
	i, ok := 0, s.fresh
	if !ok {
		i, ok = findLine(dir, t.orig[:k])
	}
	if ok {
		was.synced = true
		t.decided, t.line, t.scanned = i, i, i
		for !s.closing {
			i := bytes.IndexByte(t.orig[t.scanned:k], '\n')
			if i < 0 {
				break
			}
			s.endLine(dir, t, t.scanned+i+1)
		}
		if tail := t.orig[t.line:k]; dir == FromClient && !s.closing && len(tail) > 0 && mayBeActive(tail) {
			s.refuse(dir, CmdNone, ReasonTooSlow, netip.AddrPort{})
			blank(t, t.line, k, 'x')
		}
	}
	t.line, t.scanned, t.decided, t.mode, t.synced = was.line+k, was.scanned+k, was.decided+k, was.mode, was.synced
	s.started = 0
}

// resume decides whether an opaque session is readable again: after CCC (RFC
// 4217, section 12.3) or a failed handshake. No piece of a TLS record looks
// like whole lines of FTP. What was said before the session became opaque may
// be repeated.
func (s *Session) resume(dir Direction, seq uint32, b []byte) bool {
	t := &s.streams[dir]
	if t.known && int32(seq-t.next()) < 0 {
		return false
	}
	if !plainText(dir, b) {
		t.known = false
		return false
	}
	s.opaque, s.fresh = false, false
	for i := range s.streams {
		s.streams[i].known = false
	}
	s.pending, s.multi = pending{}, multi{}
	s.event(Event{Kind: EventReadable, Dir: dir})
	return true
}

// goOpaque stops reading after the current line.
func (s *Session) goOpaque() {
	s.stats.TLS = true
	s.closing = true
	s.event(Event{Kind: EventOpaque})
}

// closeStreams makes the session opaque and lets go of everything held.
func (s *Session) closeStreams(out []Verdict) []Verdict {
	s.closing, s.opaque = false, true
	for i := range s.streams {
		out = s.flush(&s.streams[i], out)
		s.streams[i].synced = false
	}
	return out
}

// giveUp releases everything held, as it is right for a line that may never
// be completed in our sight.
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
