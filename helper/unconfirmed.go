package helper

import (
	"sync"
	"time"

	"ftpvip/helper/packet"
)

// A connection that conntrack picks up in the middle, as after `conntrack -D`, is in its table only after its first packet has
// left this host. Until then it cannot be looked up, so that packet cannot be read. It is sent with a wrong checksum: conntrack
// adds the connection to its table, the receiver drops the packet, and TCP sends it again.

// Limits: how often and for how long packets of a path are sent that way, and for how many paths that is recorded.
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

// again reports whether one more packet of a path is to be let go so.
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

// unconfirmed gives a verdict to a packet with payload whose connection is not in conntrack's table.
func (d *Daemon) unconfirmed(q verdicts, id uint32, p packet.Packet, now time.Time) {
	d.lookForZones(now)
	if d.spoilt.again((path{p.Src, p.Dst}).hash(d.sessions.seed), d.moment(now)) {
		d.count.unread[unreadNoConnection].Add(1)
		d.log.Warn("conntrack lost a control connection: a packet was spoilt, so that TCP sends it again and it is read then",
			"src", p.Src, "dst", p.Dst)
		p.SpoilChecksum()
		d.check(q.replace(id, p.Bytes()))
		return
	}
	d.count.unread[unreadUnknown].Add(1)
	d.log.Warn("a packet is dropped: conntrack does not know its connection, again and again; `notrack` must not meet connections to "+
		"VIPs", "src", p.Src, "dst", p.Dst)
	d.check(q.drop(id))
}
