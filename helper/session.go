package helper

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/packet"
	"ftpvip/helper/recall"
	"ftpvip/helper/track"
)

// verdicts is the interface to a queue. Each packet gets one verdict.
type verdicts interface {
	accept(id uint32) error
	replace(id uint32, packet []byte) error
	drop(id uint32) error
}

// moment is a time since the helper started. Thousands of sessions hold several; a time.Time is three times as big.
type moment time.Duration

func (d *Daemon) moment(t time.Time) moment { return moment(t.Sub(d.started)) }

func (d *Daemon) time(m moment) time.Time { return d.started.Add(time.Duration(m)) }

// session is one control connection on this host. The packets of its two directions may come from different
// queues at the same time. There are thousands of them, most of them idle.
type session struct {
	daemon  *Daemon
	conn    track.Connection
	target  *target
	tracker track.Tracker
	begun   moment
	seen    atomic.Int64 // the moment when the last packet came; read without the lock

	mu         sync.Mutex
	engine     *ftp.Session
	book       *journal.Book         // nil until there is an entry: see ledger
	held       map[uint32]heldPacket // by tag
	timer      *time.Timer           // for held packets
	awaitTimer *time.Timer           // for data connections that do not come
	now        moment                // the engine's current time
	awaits     moment                // when the latest data connection was announced
	place      bool                  // in the quota
	start      ftp.Start
	reminded   bool        // the state that the last helper left was looked up
	slot       recall.Slot // of the state for the next helper
	asked      asked       // of the kernel
	mark       mark
	pickedUp   bool
	bye        ending // the server's last farewell
	ended      bool   // conntrack has deleted the connection
	told       bool   // the log line is written
}

// mark is the state of the conntrack label.
type mark uint8

const (
	unmarked mark = iota
	marked
	unmarkedAgain // readable after TLS: no second time
)

// heldPacket is a packet that waits for the rest of its line.
type heldPacket struct {
	queue  verdicts
	id     uint32
	packet packet.Packet // with bytes of its own
	urgent bool          // differs from what the kernel has
}

func newSession(d *Daemon, tracker track.Tracker, conn track.Connection, vip *vipView, start ftp.Start, now time.Time) *session {
	s := &session{
		daemon: d, conn: conn, target: vip.target(conn.Backend), tracker: tracker, begun: d.moment(now), start: start,
	}
	s.seen.Store(int64(s.begun))
	s.engine = ftp.NewSession(&s.conn.Endpoints, &s.target.policy, start, s)
	s.engine.OnEvent(s.event)
	if start == ftp.Encrypted {
		s.mark = marked
	}
	return s
}

func (s *session) lastSeen() moment { return moment(s.seen.Load()) }

// log creates a logger each time: most sessions log nothing until their end.
func (s *session) log() *slog.Logger {
	return s.daemon.log.With("vip", s.target.vip, "backend", s.target.backend, "client", s.conn.Client)
}

// ledger returns the book, and creates it if needed.
func (s *session) ledger() *journal.Book {
	if s.book == nil {
		s.book = &journal.Book{Ends: &s.conn.Endpoints}
	}
	return s.book
}

// pages returns the book for reading; an empty one if there is none.
func (s *session) pages() *journal.Book {
	if s.book == nil {
		return &journal.Book{}
	}
	return s.book
}

// debugs reports whether debug lines are logged.
func (d *Daemon) debugs() bool { return d.log.Enabled(context.Background(), slog.LevelDebug) }

// adopt takes the policy of a new configuration, if it has the session's VIP.
func (s *session) adopt(v *view) bool {
	vip := v.vips[s.conn.VIP]
	if vip == nil {
		return false
	}
	t := vip.target(s.conn.Backend)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine.SetPolicy(&t.policy) // the names in the log stay as they were when the session began
	return true
}

// direction of a packet from src.
func (s *session) direction(src netip.AddrPort) ftp.Direction {
	if src == s.conn.VIP {
		return ftp.FromServer
	}
	return ftp.FromClient
}

// handle gives each packet a verdict, now or later.
func (s *session) handle(w *worker, q verdicts, id uint32, p packet.Packet, now time.Time) error {
	s.mu.Lock()
	err := s.segment(w, q, id, p, now)
	change, opaque := s.remark()
	s.mu.Unlock()
	if change {
		s.setOpaque(opaque)
	}
	return err
}

func (s *session) segment(w *worker, q verdicts, id uint32, p packet.Packet, now time.Time) error {
	s.now = s.daemon.moment(now)
	s.seen.Store(int64(s.now))
	s.asked.announced, s.asked.calls = 0, 0
	if !s.reminded {
		s.remind()
	}
	tag, dir := s.tag(id), s.direction(p.Src)
	w.out = s.engine.Segment(now, dir, ftp.Segment{Seq: p.Seq, Ack: p.Ack, Payload: p.Payload}, tag, w.out[:0])
	s.remember()
	decided := false
	var firstErr error
	for i := range w.out {
		v := &w.out[i]
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
		firstErr = errors.Join(firstErr, s.hold(tag, q, id, &p))
	}
	if p.Flags.Has(packet.FIN) {
		out := s.engine.Finish(dir, w.out[:0])
		s.remember()
		firstErr = errors.Join(firstErr, s.releaseAll(out))
	}
	s.rearm(now)
	return firstErr
}

// releaseAll carries out verdicts on held packets.
func (s *session) releaseAll(list []ftp.Verdict) (err error) {
	for i := range list {
		err = errors.Join(err, s.release(&list[i]))
	}
	return err
}

// commanded counts a command, and notes the direction of its data.
func (s *session) commanded(v ftp.Verb) {
	s.daemon.count.commands[v].Add(1)
	if dir := journal.DirectionOf(v); dir != journal.Unknown && s.book != nil {
		s.book.Command(dir)
	}
}

// remark reports whether the conntrack label must change.
func (s *session) remark() (change, opaque bool) {
	switch {
	case s.mark == unmarked && s.engine.Opaque():
		s.mark = marked
		return true, true
	case s.mark == marked && !s.engine.Opaque():
		s.mark = unmarkedAgain
		return true, false
	}
	return false, false
}

// setOpaque tells the kernel whether TLS records of this connection must be queued. If that fails they are queued and pass.
func (s *session) setOpaque(opaque bool) {
	if err := s.tracker.SetOpaque(s.conn, opaque); err != nil {
		s.log().Debug("cannot label the connection; its TLS records go on being queued", "err", err)
	}
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

// maxHolding limits the held packets of all sessions, because they occupy the kernel's queues. A packet beyond the limit is
// dropped: the engine has read it, and it passes when TCP sends it again.
const maxHolding = 1024

func (s *session) hold(tag uint32, q verdicts, id uint32, p *packet.Packet) error {
	if s.daemon.holding.Load() >= maxHolding {
		return q.drop(id)
	}
	own, err := packet.Parse(bytes.Clone(p.Bytes()))
	if err != nil {
		return err // impossible: it was parsed before
	}
	if own.Flags.Has(packet.URG) {
		own.ClearURG()
	}
	if s.held == nil {
		s.held = map[uint32]heldPacket{}
	}
	s.held[tag] = heldPacket{queue: q, id: id, packet: own, urgent: p.Flags.Has(packet.URG)}
	s.daemon.holding.Add(1)
	return nil
}

// release carries out the verdict on a held packet.
func (s *session) release(v *ftp.Verdict) error {
	h, ok := s.held[v.Tag]
	if !ok {
		return nil
	}
	s.forgetHeld(v.Tag)
	if h.urgent && v.Action == ftp.Pass {
		return h.queue.replace(h.id, h.packet.Bytes())
	}
	return apply(h.queue, h.id, &h.packet, v)
}

func (s *session) forgetHeld(tag uint32) {
	delete(s.held, tag)
	s.daemon.holding.Add(-1)
}

func apply(q verdicts, id uint32, p *packet.Packet, v *ftp.Verdict) error {
	switch v.Action {
	case ftp.Drop:
		return q.drop(id)
	case ftp.Rewrite:
		if p.Flags.Has(packet.URG) {
			p.ClearURG()
		}
		if err := p.SetPayload(v.Payload); err != nil {
			return err
		}
		return q.replace(id, p.Bytes())
	case ftp.Pass:
	}
	return pass(q, id, p)
}

// pass accepts a packet unchanged, except for the urgent flag.
func pass(q verdicts, id uint32, p *packet.Packet) error {
	if p.Flags.Has(packet.URG) {
		p.ClearURG()
		return q.replace(id, p.Bytes())
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

// expire releases packets that were held for too long.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	now := time.Now()
	s.now = s.daemon.moment(now)
	out := s.engine.Expire(now, nil)
	s.remember()
	s.daemon.check(s.releaseAll(out))
	s.rearm(now)
}

// end ends the session, and reports whether its log line is written already. Held packets are dropped: nobody waits for them.
func (s *session) end() (told bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.told
	}
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.releaseQuota()
	s.forgetMemory()
	for tag, h := range s.held {
		s.forgetHeld(tag)
		s.daemon.check(h.queue.drop(h.id))
	}
	return s.told
}
