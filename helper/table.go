package helper

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync"

	"ftpvip/helper/journal"
)

// path is what identifies a packet of a connection: after NAT, a connection has one for each direction, and
// they are no mirror images.
type path struct {
	src, dst netip.AddrPort
}

// paths of a connection: from the client to the backend, from the VIP to the client.
func (c Connection) paths() [2]path {
	return [2]path{{c.Seen, c.Backend}, {c.VIP, c.Client}}
}

// key is a path in few bytes.
type key [36]byte

func (p path) key() (k key) {
	src, dst := p.src.Addr().As16(), p.dst.Addr().As16()
	copy(k[:], src[:])
	copy(k[16:], dst[:])
	binary.BigEndian.PutUint16(k[32:], p.src.Port())
	binary.BigEndian.PutUint16(k[34:], p.dst.Port())
	return k
}

// table holds the sessions of this host, each under both its paths.
type table struct {
	mu       sync.RWMutex
	sessions map[key]*session
}

func newTable() *table { return &table{sessions: map[key]*session{}} }

func (t *table) find(p path) *session {
	k := p.key()
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sessions[k]
}

// add enters a session, unless the other direction's packet was faster: then it returns that one. Sessions
// that had one of its paths before are taken out and returned as stale: their endings were not heard of.
func (t *table) add(s *session) (current *session, stale []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range s.conn.paths() {
		other := t.sessions[p.key()]
		if other == nil {
			continue
		}
		if other.conn == s.conn {
			return other, nil
		}
		t.delete(other)
		stale = append(stale, other)
	}
	for _, p := range s.conn.paths() {
		t.sessions[p.key()] = s
	}
	return s, stale
}

// remove takes the session with a client-side path out, if it has that conntrack id (0: any).
func (t *table) remove(c Connection) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[path{c.VIP, c.Client}.key()]
	if s == nil || (c.ID != 0 && s.conn.ID != c.ID) {
		return nil
	}
	t.delete(s)
	return s
}

func (t *table) delete(s *session) {
	for _, p := range s.conn.paths() {
		if k := p.key(); t.sessions[k] == s {
			delete(t.sessions, k)
		}
	}
}

// idle lists the sessions without a packet since a moment.
func (t *table) idle(since moment) []*session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var list []*session
	for k, s := range t.sessions {
		if k != (path{s.conn.VIP, s.conn.Client}).key() {
			continue // the other path
		}
		s.mu.Lock()
		quiet := s.seen < since
		s.mu.Unlock()
		if quiet {
			list = append(list, s)
		}
	}
	return list
}

func (t *table) all() []*session { return t.idle(math.MaxInt64) }

// flows finds the session of a data connection that is open, or that conntrack has not forgotten.
type flows struct {
	mu       sync.Mutex
	sessions map[journal.Flow]*session
}

func newFlows() *flows { return &flows{sessions: map[journal.Flow]*session{}} }

func (f *flows) add(flow journal.Flow, s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[flow] = s
}

// take takes a data connection out; nil where it is unknown.
func (f *flows) take(flow journal.Flow) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[flow]
	delete(f.sessions, flow)
	return s
}

func (f *flows) removeAll(list []journal.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, flow := range list {
		delete(f.sessions, flow)
	}
}
