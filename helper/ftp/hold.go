package ftp

import (
	"net/netip"
	"time"
)

// How long a part of a line is held.
const (
	// After its last byte, until a part goes on in a form that can still be completed. A sender's first time-out or probe
	// (RFC 6298, RFC 8985) has come by then; after that many send nothing new until something is acknowledged.
	commitTime = 400 * time.Millisecond

	holdTime = 12 * time.Second // after its last byte, until it is refused: a sender's timer has doubled a few times
	lineTime = time.Minute      // in all
)

// Deadline is when Expire is to be called; zero: nothing is held.
func (s *Session) Deadline() time.Time {
	var d time.Time
	for i := range s.streams {
		if t := &s.streams[i]; t.holds() {
			if e := s.born.Add(t.trouble.deadline()); d.IsZero() || e.Before(d) {
				d = e
			}
		}
	}
	return d
}

func (h *trouble) deadline() time.Duration {
	if !h.committed {
		return h.last + commitTime
	}
	return min(h.last+holdTime, h.since+lineTime)
}

// Expire releases what was held too long. The sender may be waiting for an
// acknowledgement of the first part of a line before it sends the rest (RFC
// 896), so the part goes on, where there is a form that can still be completed. Otherwise the line is refused in the end.
func (s *Session) Expire(now time.Time, out []Verdict) []Verdict {
	s.now = now.Sub(s.born)
	for i := range s.streams {
		t, dir := &s.streams[i], Direction(i)
		if t.holds() && !t.trouble.committed && s.now >= t.trouble.deadline() {
			t.trouble.committed = true
			s.commit(dir, t)
			out = t.release(out)
		}
		if t.holds() && t.trouble.committed && s.now >= t.trouble.deadline() {
			s.event(Event{Kind: EventHeldTooLong, Dir: dir})
			out = s.giveUp(dir, t, out)
		}
	}
	return out
}

// Finish says that the sender of a direction has ended it: what is held of a line will never be completed.
func (s *Session) Finish(dir Direction, out []Verdict) []Verdict {
	return s.giveUp(dir, &s.streams[dir], out)
}

// commit lets a part of a held line go in a form that can still be completed.
func (s *Session) commit(dir Direction, t *stream) {
	switch {
	case t.mode != lineRead || !t.synced:
	case dir == FromClient:
		s.commitActive(t)
	default:
		s.commitReply(t, false)
	}
}

// letGo makes the part of a line that was held too long final.
func (s *Session) letGo(dir Direction, t *stream) {
	if t.mode == lineRead {
		if dir == FromClient {
			s.letGoClient(t)
		} else {
			s.commitReply(t, true)
		}
	}
	t.decided = len(t.orig)
}

// letGoClient refuses a line of which only a part has come.
func (s *Session) letGoClient(t *stream) {
	line := t.orig[t.line:]
	if t.synced && !mayBeActive(line) {
		return
	}
	v := scanVerb(line, true)
	cmd := CmdNone
	if v.clean && v.n == 4 {
		cmd = v.command()
	}
	s.refuse(FromClient, cmd, ReasonTooSlow, netip.AddrPort{})
	blank(t, t.line, len(t.orig), 'x')
	t.mode = linePoison
}
