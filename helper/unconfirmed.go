package helper

import (
	"sync"
	"time"

	"ftpvip/helper/packet"
)

// A connection that conntrack picks up in the middle, as after `conntrack -D`, is in its table only when its first packet
// has left this host. Until then nobody can ask about it, so that packet cannot be read. It is let go with a spoilt
// checksum: conntrack takes the connection into its table, the receiver drops the packet, and TCP sends it again.

// How often and for how long a path's packets are let go so, and of how many paths that is remembered.
const (
	maxSpoilt     = 3
	spoiltFor     = 30 * time.Second
	maxSpoiltKept = 1024
)

// spoilt remembers for which paths a packet was let go with a spoilt checksum. Another path may take an entry's place: then
// there are more of these packets, which nobody takes for good ones.
type spoilt struct {
	mu      sync.Mutex
	entries [maxSpoiltKept]spoiltPath
}

type spoiltPath struct {
	path  hash
	since moment
	times uint8
}

// again tells whether one more packet of a path is to be let go so.
func (s *spoilt) again(p hash, now moment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.entries[p%maxSpoiltKept]
	if e.path != p || now-e.since > moment(spoiltFor) {
		*e = spoiltPath{path: p, since: now}
	}
	if e.times == maxSpoilt {
		return false
	}
	e.times++
	return true
}

// unconfirmed gives a packet with payload its verdict of whose connection conntrack knows nothing.
func (d *Daemon) unconfirmed(q verdicts, id uint32, p packet.Packet, now time.Time) {
	if d.spoilt.again((path{p.Src, p.Dst}).hash(d.sessions.seed), d.moment(now)) {
		d.count.unread[unreadNoConnection].Add(1)
		d.log.Warn("conntrack lost a control connection: a packet was spoilt, so that TCP sends it again and it is read then",
			"src", p.Src, "dst", p.Dst)
		p.SpoilChecksum()
		d.check(q.replace(id, p.Bytes()))
		return
	}
	d.count.unread[unreadUnknown].Add(1)
	d.log.Warn("a packet is dropped: conntrack does not know its connection, again and again; connections in a conntrack "+
		"zone other than 0 cannot be read, and `notrack` must not meet them", "src", p.Src, "dst", p.Dst)
	d.check(q.drop(id))
}
