package ftp

import (
	"bytes"
	"errors"
	"net/netip"
	"time"
)

// creditTime is how long after a pick-up a reply may answer a command from before it.
const creditTime = 30 * time.Second

// Session is the engine's state for one control connection. It is used by one
// goroutine at a time.
type Session struct {
	ends    *Endpoints
	policy  *Policy
	opener  Opener
	onEvent func(Event)

	streams [2]stream
	pending pending
	multi   multi
	stats   Stats

	born     time.Time     // when the first segment came
	now      time.Duration // of the current call, since then
	since    time.Duration // when credit was given
	slow     *slow         // the 227 of which our address has begun to go on; nil: none
	begun    bool          // a segment was seen
	fresh    bool          // seen from its very start
	credit   bool          // picked up in the middle: one 227, 229 or 234 may answer a command not seen
	epsvAll  bool          // EPSV ALL was said (RFC 2428, section 4)
	looks    [2]bool       // a direction looks like TLS
	accepted bool          // AUTH was
	offered  bool          // it was, or so it looks, and the server has not begun TLS
	hasty    bool          // what looks like TLS has come before the answer to AUTH
	opaque   bool
	closing  bool // opaque from the current line on
}

// NewSession returns a Session for a control connection. Sessions may share
// their Policy; it and the Endpoints must not be changed any more.
func NewSession(e *Endpoints, p *Policy, start Start, o Opener) *Session {
	s := &Session{ends: e, policy: p, opener: o, fresh: start == Fresh, credit: start == Midway, opaque: start == Encrypted}
	s.stats.TLS = s.opaque
	return s
}

// SetPolicy changes the policy for what comes from now on.
func (s *Session) SetPolicy(p *Policy) { s.policy = p }

// OnEvent sets the function that is told what happens. It is called from
// within Segment and Expire, and must not call the Session.
func (s *Session) OnEvent(f func(Event)) { s.onEvent = f }

// Stats returns what the session has seen so far.
func (s *Session) Stats() Stats { return s.stats }

// Commands is Stats().Commands.
func (s *Session) Commands() uint32 { return s.stats.Commands }

// Opaque says that the session is encrypted: its segments pass unread.
func (s *Session) Opaque() bool { return s.opaque }

func (s *Session) event(e Event) {
	if s.onEvent != nil {
		s.onEvent(e)
	}
}

func (s *Session) refuse(dir Direction, c Command, why Reason, named netip.AddrPort) {
	s.refuseErr(dir, c, why, named, nil)
}

func (s *Session) refuseErr(dir Direction, c Command, why Reason, named netip.AddrPort, err error) {
	s.stats.Refused++
	s.event(Event{Kind: EventRefused, Reason: why, Dir: dir, Command: c, Named: named, Err: err})
}

func (s *Session) noFit(dir Direction, c Command, named netip.AddrPort, ours netip.Addr) {
	s.stats.NoFit++
	s.event(Event{Kind: EventNoFit, Reason: ReasonNoFit, Dir: dir, Command: c, Named: named, Ours: ours})
}

// advertised is what a 227 names. Over IPv6 that is 0.0.0.0: a client that takes such a 227 at all connects to where its control
// connection goes.
func (s *Session) advertised() netip.Addr {
	if s.ends.VIP.Addr().Is6() {
		return netip.IPv4Unspecified()
	}
	for i := range s.policy.AdvertiseTo {
		if a := &s.policy.AdvertiseTo[i]; a.Clients.Contains(s.ends.Client.Addr()) {
			return a.Address
		}
	}
	if s.policy.Advertise.IsValid() {
		return s.policy.Advertise.Unmap()
	}
	return s.ends.VIP.Addr()
}

func (s *Session) credited() bool { return s.credit && s.now-s.since < creditTime }

func addrPort(a netip.AddrPort, p uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), p) }
func isBusy(err error) bool                              { return errors.Is(err, ErrPortBusy) }
func isQuota(err error) bool                             { return errors.Is(err, ErrQuota) }

// Segment feeds one TCP segment; tag is the caller's name for it. Verdicts for
// it and for earlier held segments are appended to out. Without a verdict for
// tag the segment is held: a later call releases it, Expire at the latest.
//
// A segment that was received before gets the very bytes of the first time. A
// retransmission with other bytes is dropped, and so is a segment beyond a gap:
// TCP sends it again once the gap is filled.
func (s *Session) Segment(now time.Time, dir Direction, seg Segment, tag uint32, out []Verdict) []Verdict {
	if !s.begun {
		s.begun, s.born = true, now
	}
	s.now = now.Sub(s.born)
	t := &s.streams[dir]
	if !s.opaque && !s.takes(dir, t, &seg) {
		s.event(Event{Kind: EventStale, Dir: dir})
		return append(out, Verdict{Tag: tag, Action: Drop})
	}
	opaque := s.opaque && (len(seg.Payload) == 0 || !s.resume(dir, seg.Seq, seg.Payload))
	out = s.acknowledge(dir, seg.Ack, out)
	if opaque {
		return append(out, t.repeated(tag, seg.Seq, seg.Payload))
	}
	if len(seg.Payload) == 0 {
		return append(out, Verdict{Tag: tag})
	}
	if t.guess { // now it is known
		if d := int32(seg.Seq - t.base); d > maxHistory || d < -maxHistory || d > 0 && s.stats.TLS { // records that nobody reads are gaps
			t.known = false
		}
		t.guess = false
	}
	if dir == FromClient && s.looks[FromServer] && tlsRecord(seg.Payload) {
		s.seesTLS(dir)
	}
	if !t.known && !s.fresh && !t.wary && !startsLine(dir, seg.Payload) {
		// What comes before it may have been held by a helper that has ended: then it comes again, and first.
		t.wary = true
		return append(out, Verdict{Tag: tag, Action: Drop})
	}
	if !t.known {
		// Only the server's acknowledgement says where a client's stream begins.
		c := seg.Payload[0]
		begins := c >= '1' && c <= '6' || tlsByte(c) // as replies do; another segment of the greeting's may have been faster
		s.pickUp(dir, t, seg.Seq, s.fresh && !t.met && dir == FromServer && begins)
		if !s.fresh && len(seg.Payload) == 1 {
			// A keepalive repeats the byte before, with any value (RFC 9293, section 3.8.4): it is not read.
			t.base++
			t.prev = seg.Payload[0]
			if c := seg.Payload[0]; dir == FromClient && graphic(seg.Payload) && !isLetter(c) && c != ' ' { // begins no command
				s.refuse(dir, CmdNone, ReasonUnsynced, netip.AddrPort{})
				return append(out, Verdict{Tag: tag, Action: Rewrite, Payload: []byte{'x'}})
			}
			return append(out, Verdict{Tag: tag})
		}
	}
	if t.ended && int32(seg.Seq+uint32(len(seg.Payload))-t.next()) > 0 { //nolint:gosec // a length
		// It was no FIN: the server has a byte that did not come this way, and takes this one's for a copy of it.
		s.event(Event{Kind: EventGap, Dir: dir})
		out = s.giveUp(dir, t, out)
		s.pickUp(dir, t, t.next()+1, false)
		t.skipped = true
	}
	d := int(int32(seg.Seq - t.next())) // sequence arithmetic (RFC 9293, section 3.4)
	if d > 0 {
		if !s.missing(dir, t, &seg) {
			return append(out, Verdict{Tag: tag, Action: Drop})
		}
		out = s.giveUp(dir, t, out)
		s.pickUp(dir, t, seg.Seq, false)
		t.skipped = true
		d = 0
	}
	if d < 0 {
		at := t.index(seg.Seq)
		switch s.again(dir, t, at, seg.Payload) {
		case againOK:
		case againStart:
			out = s.giveUp(dir, t, out)
			if !t.keepLater() {
				return append(out, Verdict{Tag: tag, Action: Drop})
			}
			s.pickUp(dir, t, seg.Seq, s.fresh && dir == FromServer)
			d = 0
		case againBefore:
			s.before(dir, t, seg.Payload[:-at])
		case againPass:
			return append(out, Verdict{Tag: tag})
		case againDrop:
			return append(out, Verdict{Tag: tag, Action: Drop})
		}
	}
	return s.take(dir, t, seg.Seq, -d, seg.Payload, tag, out)
}

// take reads a segment of which the first old bytes are known already.
func (s *Session) take(dir Direction, t *stream, seq uint32, old int, payload []byte, tag uint32, out []Verdict) []Verdict {
	n := len(payload)
	if old < n && t.differs(seq+uint32(old), payload[old:]) { //nolint:gosec // a length
		s.event(Event{Kind: EventOverlap, Dir: dir})
		return append(out, Verdict{Tag: tag, Action: Drop})
	}
	if old < n {
		if t.trouble != nil {
			t.trouble.gap = gap{}
		}
		t.append(payload[old:], max(t.index(seq), 0))
		s.feed(dir, t)
	}
	if s.closing {
		out = s.closeStreams(out)
	}
	if t.holds() {
		out = t.release(out)
	}
	at := t.index(seq)
	switch {
	case at+n <= t.decided:
		v := t.verdict(tag, at, n)
		if old == n && v.Action == Pass && !bytes.Equal(payload, t.orig[at:at+n]) {
			v = Verdict{Tag: tag, Action: Rewrite, Payload: t.out(at, at+n)} // a keepalive
		}
		return append(out, v)
	case old >= n || t.holds() && len(t.trouble.held) >= maxHeld:
		return append(out, Verdict{Tag: tag, Action: Drop}) // its first copy is held
	}
	h := t.hitch()
	if len(h.held) == 0 {
		h.since = s.now
	}
	h.last, h.committed = s.now, false
	h.held = append(h.held, held{tag: tag, seq: seq, n: n})
	return out
}
