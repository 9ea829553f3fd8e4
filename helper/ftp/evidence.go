package ftp

import "time"

// Times and counts after which a gap in the server's stream is given up.
const (
	gapTime  = 500 * time.Millisecond // at least, and
	gapCount = 3                      // so many arrivals of the segment after it
)

// maxJump is how far ahead of what is known an acknowledgement may be: further, it says nothing.
const maxJump = 1 << 20

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
	if t.known && int32(ack-t.next()) > maxJump {
		return out
	}
	if from == FromServer {
		if !t.known {
			s.pickUp(dir, t, ack)
		} else if int32(ack-t.next()) > 1 { // a FIN takes one
			s.event(Event{Kind: EventGap, Dir: dir})
			out = s.giveUp(dir, t, out)
			s.pickUp(dir, t, ack)
			t.skipped = true
		}
	}
	if !t.hasAcked || int32(ack-t.acked) > 0 {
		t.acked, t.hasAcked = ack, true
	}
	t.trim()
	return out
}

// missing decides about a segment beyond a gap. Usually what is missing was lost on its way here and will come again.
// Where the receiver has it already, it never came this way and never will: while the table was away, or as TLS
// records that are kept out of the queue.
func (s *Session) missing(dir Direction, t *stream, seg *Segment) bool {
	given := s.stats.TLS || t.has(seg.Seq)
	if !given && dir == FromClient {
		// It acknowledges replies that did not come this way. Where that is not true the server does not take it.
		o := &s.streams[FromServer]
		ahead := int32(seg.Ack - o.next())
		given = o.known && ahead > 1 && ahead <= maxJump
	}
	if !given && dir == FromServer {
		g := &t.hitch().gap
		if g.count == 0 || int32(seg.Seq-g.seq) < 0 {
			*g = gap{seq: seg.Seq, since: s.now}
		}
		if seg.Seq == g.seq {
			g.count++
		}
		given = g.count >= gapCount && s.now-g.since >= gapTime
	}
	if !given {
		s.event(Event{Kind: EventEarly, Dir: dir})
		return false
	}
	s.event(Event{Kind: EventGap, Dir: dir})
	return true
}

// pickUp starts a stream at seq. In a session seen from its start that is the start of a line, elsewhere perhaps not.
func (s *Session) pickUp(dir Direction, t *stream, seq uint32) {
	fresh := s.fresh && !t.met
	t.reset(seq)
	t.synced = fresh || dir == FromServer
	t.unsure = !fresh
	if !fresh {
		s.event(Event{Kind: EventPickedUp, Dir: dir})
	}
}
