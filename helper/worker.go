package helper

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"ftpvip/helper/fair"
	"ftpvip/helper/ftp"
	"ftpvip/helper/packet"
	"ftpvip/helper/track"
)

// worker is the loop of one queue.
type worker struct {
	number  uint16
	queue   *queue
	tracker track.Tracker
	out     []ftp.Verdict // of the current packet; reused
	shares  *fair.Shares
	idle    moment // since when it has waited for the current packet

	busy    atomic.Int64 // when the handling of a packet began, in Unix nanoseconds; 0: the loop waits for one
	handled atomic.Uint64
	gone    atomic.Uint64 // packets that the kernel dropped before their verdict
	latency latency
}

func newWorker(number uint16) *worker { return &worker{number: number, shares: fair.New()} }

// handle gives one packet its verdict, or leaves it to its session.
func (d *Daemon) handle(w *worker, q verdicts, id uint32, b []byte) {
	now := time.Now()
	w.busy.Store(now.UnixNano())
	client := d.decide(w, q, id, b, now)
	took := time.Since(now)
	w.latency.observe(took)
	w.handled.Add(1)
	d.charge(w, client, now, took)
	w.busy.Store(0)
}

// decide returns the client whose packet it was; an invalid address where that is not known.
func (d *Daemon) decide(w *worker, q verdicts, id uint32, b []byte, now time.Time) (client netip.Addr) {
	p, err := packet.Parse(b)
	if err != nil {
		d.count.unread[unreadMalformed].Add(1)
		d.log.Warn("dropped a queued packet that cannot be read", "err", err)
		d.check(q.drop(id))
		return client
	}
	why, drop := screen(&p)
	if drop {
		d.count.unread[why].Add(1)
		d.check(q.drop(id))
		return client
	}
	s := d.sessions.find(path{p.Src, p.Dst})
	switch {
	case p.Flags.Has(packet.RST), s == nil && len(p.Payload) == 0:
		d.check(pass(q, id, &p)) // in its turn: commands before it have their verdicts
		return client
	case s == nil:
		if s, why = d.begin(w.tracker, p, now); s == nil {
			if why == unreadNoConnection {
				d.unconfirmed(q, id, p, now)
				return client
			}
			d.count.unread[why].Add(1)
			if why == unreadLookup || why == unreadStray {
				d.check(q.drop(id)) // TCP sends it again, and then it may be read, or is answered with a reset
			} else {
				d.check(pass(q, id, &p))
			}
			return client
		}
	}
	client = s.conn.Client.Addr()
	if s.direction(p.Src) == ftp.FromClient && len(p.Payload) > 0 && d.throttled(client, now) {
		d.check(q.drop(id)) // a reset would not be sent again
		return client
	}
	d.check(s.handle(w, q, id, p, now))
	return client
}

// screen looks for what a receiver's TCP does not take (RFC 9293, section 3.10.7.4), so that it moves no session: it is
// dropped, and the reason returned. Data in a SYN (RFC 7413) is not taken by a server that does not ask for it; from one
// that does it is kept, because nobody could read it in time: the client sends it again after the handshake.
func screen(p *packet.Packet) (why unread, drop bool) {
	switch {
	case p.Flags.Has(packet.RST):
		return 0, false // its data is for nobody, and whether it counts is for the receiver to say
	case p.Flags.Has(packet.SYN):
		return unreadSYN, len(p.Payload) > 0
	case !p.Flags.Has(packet.ACK):
		return unreadNoACK, true
	case !p.ChecksumOK():
		return unreadChecksum, true
	}
	return 0, false
}

// check logs a verdict that the kernel refused.
func (d *Daemon) check(err error) {
	if err != nil {
		d.log.Warn("cannot give a packet its verdict; TCP sends it again", "err", err)
	}
}

// begin creates the session of a packet that has none. It returns nil and the reason if the packet does not belong to a VIP.
// The packet is passed by value: with a pointer every packet would escape to the heap.
func (d *Daemon) begin(tracker track.Tracker, p packet.Packet, now time.Time) (*session, unread) {
	entry, err := tracker.Lookup(p.Src, p.Dst)
	switch {
	case errors.Is(err, track.ErrNoConnection):
		return nil, unreadNoConnection
	case err != nil:
		d.log.Warn("a packet is dropped, for TCP to send it again: conntrack cannot be asked about it",
			"src", p.Src, "dst", p.Dst, "err", err)
		return nil, unreadLookup
	}
	v := d.view.Load()
	conn, vip := v.find(entry.Connection)
	if vip == nil && v.serves(conn.Client) {
		d.resetStray(tracker, conn)
		return nil, unreadStray
	}
	if vip == nil {
		d.log.Warn("a packet passes unread: its VIP is not in the configuration that the helper runs with; "+
			"reload the helper after apply", "vip", conn.VIP, "client", conn.Client)
		return nil, unreadNoVIP
	}
	s := newSession(d, tracker, conn, vip, d.startOf(&entry), now)
	current, stale := d.sessions.add(s)
	for _, old := range stale {
		d.retire(old, endLost)
	}
	if current != s {
		return current, 0
	}
	d.count.sessions.Add(1)
	if latest := d.view.Load(); latest != v { // reloaded meanwhile, maybe without having seen s
		s.adopt(latest)
	}
	if d.debugs() {
		s.log().Debug("session begins")
	}
	return s, 0
}
