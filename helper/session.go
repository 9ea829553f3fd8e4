package helper

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/packet"
)

// verdicts is the border to a queue: what may become of a packet. The functions are called once for each
// packet.
type verdicts interface {
	accept(id uint32) error
	replace(id uint32, packet []byte) error
	drop(id uint32) error
}

// session is one control connection on this host. The packets of its two directions may come from different
// queues at the same time.
type session struct {
	conn    Connection
	vip     string
	backend string
	log     *slog.Logger
	tracker Tracker

	mu     sync.Mutex
	engine *ftp.Session
	held   map[uint32]heldPacket // by packet id; ids of different queues may be equal: see tag
	timer  *time.Timer
	seen   time.Time // when the last packet came
	out    []ftp.Verdict
	ended  bool
}

// heldPacket is a packet that waits for the rest of its line.
type heldPacket struct {
	queue  verdicts
	id     uint32
	packet packet.Packet // with bytes of its own
}

// Open implements ftp.Opener.
func (s *session) Open(d ftp.DataConn) error { return s.tracker.Expect(s.conn, d) }

// direction of a packet from src.
func (s *session) direction(src netip.AddrPort) ftp.Direction {
	if src == s.conn.VIP {
		return ftp.FromServer
	}
	return ftp.FromClient
}

// handle gives every packet a verdict, now or later.
func (s *session) handle(q verdicts, id uint32, p packet.Packet, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = now
	tag := s.tag(id)
	s.out = s.engine.Segment(now, s.direction(p.Src), p.Seq, p.Payload, tag, s.out[:0])
	decided := false
	var firstErr error
	for i := range s.out {
		v := &s.out[i]
		var err error
		if v.Tag == tag {
			decided = true
			err = apply(q, id, &p, v)
		} else {
			err = s.release(v)
		}
		if err != nil && firstErr == nil {
			firstErr = err
		}
	}
	if !decided {
		s.hold(tag, q, id, p)
	}
	s.rearm(now)
	return firstErr
}

// tag is the id of a packet within the session. It differs from the packet's own only where another queue's
// held packet has the same.
func (s *session) tag(id uint32) uint32 {
	for {
		if _, taken := s.held[id]; !taken {
			return id
		}
		id += 1 << 31
		if _, taken := s.held[id]; !taken {
			return id
		}
		id++
	}
}

func (s *session) hold(tag uint32, q verdicts, id uint32, p packet.Packet) {
	own, err := packet.Parse(append([]byte(nil), p.Bytes()...))
	if err != nil {
		return // cannot be: it was parsed before
	}
	if s.held == nil {
		s.held = map[uint32]heldPacket{}
	}
	s.held[tag] = heldPacket{queue: q, id: id, packet: own}
}

// release carries out the verdict on a held packet.
func (s *session) release(v *ftp.Verdict) error {
	h, ok := s.held[v.Tag]
	if !ok {
		return nil
	}
	delete(s.held, v.Tag)
	return apply(h.queue, h.id, &h.packet, v)
}

func apply(q verdicts, id uint32, p *packet.Packet, v *ftp.Verdict) error {
	switch v.Action {
	case ftp.Drop:
		return q.drop(id)
	case ftp.Rewrite:
		if err := p.SetPayload(v.Payload); err != nil {
			return err
		}
		return q.replace(id, p.Bytes())
	case ftp.Pass:
	}
	return q.accept(id)
}

// rearm sets the timer to the engine's deadline.
func (s *session) rearm(now time.Time) {
	deadline := s.engine.Deadline()
	if deadline.IsZero() || s.ended {
		if s.timer != nil {
			s.timer.Stop()
		}
		return
	}
	wait := max(deadline.Sub(now), 0)
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.expire)
		return
	}
	s.timer.Reset(wait)
}

// expire releases what was held too long.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	now := time.Now()
	s.out = s.engine.Expire(now, s.out[:0])
	for i := range s.out {
		if err := s.release(&s.out[i]); err != nil {
			s.log.Warn("cannot give a held packet its verdict", "err", err)
		}
	}
	s.rearm(now)
}

// end forgets the connection. Packets that are still held are dropped: nobody waits for them.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for tag, h := range s.held {
		delete(s.held, tag)
		if err := h.queue.drop(h.id); err != nil {
			s.log.Debug("cannot drop a held packet", "err", err)
		}
	}
	st := s.engine.Stats()
	s.log.Info("session ended", "user", st.User, "tls", st.TLS,
		"pasv", st.Opens(ftp.CmdPASV), "epsv", st.Opens(ftp.CmdEPSV),
		"port", st.Opens(ftp.CmdPORT), "eprt", st.Opens(ftp.CmdEPRT), "refused", st.Refused)
}

// event logs what the engine tells. Ordinary work is for debugging, the rest is for the admin.
func (s *session) event(e ftp.Event) {
	switch e.Kind {
	case ftp.EventExpected:
		s.log.Debug("data connection announced", "command", e.Command, "at", e.Data.At, "to", e.Data.To)
	case ftp.EventRewritten, ftp.EventPickedUp, ftp.EventOpaque, ftp.EventReadable, ftp.EventEarly, ftp.EventStale,
		ftp.EventGap:
		s.log.Debug(e.Kind.String(), "command", e.Command, "direction", e.Dir)
	case ftp.EventRefused:
		s.log.Warn("refused", "command", e.Command, "reason", e.Reason, "direction", e.Dir, "named", e.Named)
	case ftp.EventNoFit:
		s.log.Warn("announcement passes unchanged: the VIP's address does not fit into it", "command", e.Command)
	case ftp.EventOpenFailed:
		s.log.Error("no expectation for a data connection, which will fail", "command", e.Command, "err", e.Err)
	case ftp.EventUnexpected, ftp.EventLineTooLong, ftp.EventHeldTooLong, ftp.EventOverlap:
		s.log.Warn(e.Kind.String(), "command", e.Command, "direction", e.Dir)
	case ftp.NumKinds:
	}
}
