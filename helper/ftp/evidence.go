package ftp

import "time"

// Times and counts after which a gap is given up.
const (
	gapTime     = 500 * time.Millisecond // at least, and
	gapCount    = 3                      // so many arrivals of the segment after it;
	certainTime = 10 * time.Second       // where it seems certain that what is missing was lost
)

// Bounds of acknowledgement numbers, as a receiver has them (RFC 5961, section 5.2).
const (
	maxJump   = 1 << 20 // ahead of what is known: bytes that went on without being seen
	maxWindow = 1 << 26 // behind it
)

// takes reports whether the receiver takes a segment, by its acknowledgement of the other direction's bytes. A client that
// acknowledges more than the server has said is lying, or the table was away: then it repeats itself.
func (s *Session) takes(dir Direction, t *stream, seg *Segment) bool {
	o := &s.streams[1-dir]
	if !o.known || o.guess {
		return true
	}
	ahead := int32(seg.Ack - o.next())
	switch {
	case ahead < -maxWindow:
		return false
	case dir == FromServer || ahead <= 1:
		return true
	case ahead > maxJump:
		return false
	}
	return !s.fresh || t.repeats(seg.Seq, s.now, gapTime)
}

// acknowledge learns from the acknowledgement number of a segment which bytes of the other direction its sender has
// taken. The server's word can be trusted: it says where the client's stream starts, and that bytes went on which did
// not come this way. A client may lie, but only about what it reads itself.
func (s *Session) acknowledge(from Direction, ack uint32, out []Verdict) []Verdict {
	if s.opaque {
		return out
	}
	dir := FromClient
	if from == FromClient {
		dir = FromServer
	}
	t := &s.streams[dir]
	if d := int32(ack - t.next()); t.known && (d > maxJump || d < -maxJump && !t.hasHeard) {
		if from != FromServer || t.hasHeard {
			return out
		}
		out = s.giveUp(dir, t, out)
		t.known = false // what was taken for the client's stream is somebody else's
	}
	if from == FromServer {
		if !t.known {
			s.pickUp(dir, t, ack, s.fresh && !t.met)
		} else if int32(ack-t.next()) > 1 { // a FIN takes one
			s.event(Event{Kind: EventGap, Dir: dir})
			out = s.giveUp(dir, t, out)
			s.pickUp(dir, t, ack, false)
			t.skipped = true
		}
		if !t.hasHeard {
			t.heard, t.hasHeard = ack, true
		}
	}
	switch {
	case !t.known && !s.fresh: // what comes next is probably the start of a reply
		s.pickUp(dir, t, ack, false)
		t.guess, t.heard, t.hasHeard = true, ack, true
		return out
	case !t.known:
		return out
	case int32(ack-t.next()) > 0: // the client says so, or a FIN was acknowledged
		if dir == FromServer {
			t.heard, t.hasHeard = ack, true
		} else {
			t.ended = true
		}
		return out
	}
	if !t.hasAcked || int32(ack-t.acked) > 0 {
		t.acked, t.hasAcked = ack, true
	}
	t.trim()
	return out
}

// missing decides about a segment beyond a gap. Usually what is missing was lost on its way here and will come again.
// Where the receiver has it already, it never came this way and never will: while the table was away, while no helper
// ran, or as TLS records that are kept out of the queue. The sender of the segment after the gap repeats it then, but so
// does one that wants to be taken at its word: of a client that counts only where nothing proves the contrary.
func (s *Session) missing(dir Direction, t *stream, seg *Segment) bool {
	// As long as the server has said nothing, what was taken for the client's stream may be somebody else's.
	if int32(seg.Seq-t.next()) > maxJump && dir == FromClient && t.hasHeard || t.holds() && !s.stats.TLS {
		s.event(Event{Kind: EventEarly, Dir: dir})
		return false
	}
	wait := gapTime
	if !s.stats.TLS && (dir == FromClient && t.hasHeard && !s.claims(seg.Ack) || dir == FromServer && s.fresh) {
		wait = certainTime
	}
	given := dir == FromServer && t.hasHeard && int32(t.heard-seg.Seq) >= 0 || t.repeats(seg.Seq, s.now, wait)
	if !given {
		s.event(Event{Kind: EventEarly, Dir: dir})
		return false
	}
	s.event(Event{Kind: EventGap, Dir: dir})
	return true
}

// repeats counts the arrivals of a segment that does not fit, and reports whether they are many and over that time.
func (t *stream) repeats(seq uint32, now, wait time.Duration) bool {
	g := &t.hitch().gap
	if g.count == 0 || int32(seq-g.seq) < 0 || seq != g.seq && now-g.last > 2*gapTime {
		*g = gap{seq: seq, since: now}
	}
	if seq == g.seq && (g.count == 0 || now > g.last) {
		g.count++
		g.last = now
	}
	return g.count >= gapCount && now-g.since >= wait
}

// claims reports whether a client acknowledges replies that did not come this way. Where that is not true the server does
// not take its segment (RFC 5961, section 5).
func (s *Session) claims(ack uint32) bool {
	t := &s.streams[FromServer]
	ahead := int32(ack - t.next())
	return t.known && !t.guess && ahead > 1 && ahead <= maxJump
}

// pickUp starts a stream at seq, which is the start of a line for certain where sure is set.
func (s *Session) pickUp(dir Direction, t *stream, seq uint32, sure bool) {
	switch {
	case dir == FromServer && t.met:
		s.multi, s.slow = multi{}, nil
	case dir == FromClient && !s.accepted: // what the bytes before looked like says nothing
		s.looks[FromClient], s.offered = false, false
	}
	if t.met && !sure { // commands may have gone by unseen
		s.credit, s.since = true, s.now
	}
	t.reset(seq)
	t.synced = sure || dir == FromServer
	t.unsure = !sure
	t.heard, t.hasHeard = seq, sure && dir == FromClient
	if !sure {
		s.event(Event{Kind: EventPickedUp, Dir: dir})
	}
}
