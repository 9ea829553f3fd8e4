package helper

import (
	"encoding/binary"
	"hash/maphash"
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
func (c *Connection) paths() [2]path {
	return [2]path{{c.Seen, c.Backend}, {c.VIP, c.Client}}
}

// has tells whether a path is one of the connection's.
func (c *Connection) has(p path) bool {
	return p.src == c.VIP && p.dst == c.Client || p.src == c.Seen && p.dst == c.Backend
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

// hash is what a path is found by: a third of its size. Nobody outside can make two paths have the same, for the seed is
// chosen anew by each process; and by chance that happens once in a lifetime of many hosts, and costs a session's account.
type hash uint64

func (p path) hash(seed maphash.Seed) hash {
	k := p.key()
	return hash(maphash.Bytes(seed, k[:]))
}

// table holds the sessions of this host, each under both its paths.
type table struct {
	seed     maphash.Seed
	mu       sync.RWMutex
	sessions map[hash]*session
}

func newTable() *table { return &table{seed: maphash.MakeSeed(), sessions: map[hash]*session{}} }

func (t *table) find(p path) *session {
	h := p.hash(t.seed)
	t.mu.RLock()
	s := t.sessions[h]
	t.mu.RUnlock()
	if s == nil || !s.conn.has(p) {
		return nil
	}
	return s
}

// add enters a session, unless the other direction's packet was faster: then it returns that one. Sessions
// that had one of its paths before are taken out and returned as stale: their endings were not heard of.
func (t *table) add(s *session) (current *session, stale []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range s.conn.paths() {
		other := t.sessions[p.hash(t.seed)]
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
		t.sessions[p.hash(t.seed)] = s
	}
	return s, stale
}

// remove takes the session with a client-side path out, if it has that conntrack id (0: any).
func (t *table) remove(c Connection) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := path{c.VIP, c.Client}
	s := t.sessions[p.hash(t.seed)]
	if s == nil || !s.conn.has(p) || (c.ID != 0 && s.conn.ID != c.ID) {
		return nil
	}
	t.delete(s)
	return s
}

func (t *table) delete(s *session) {
	for _, p := range s.conn.paths() {
		if h := p.hash(t.seed); t.sessions[h] == s {
			delete(t.sessions, h)
		}
	}
}

// idle lists the sessions without a packet since a moment.
func (t *table) idle(since moment) []*session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var list []*session
	for h, s := range t.sessions {
		if h != (path{s.conn.VIP, s.conn.Client}).hash(t.seed) {
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
	seed     maphash.Seed
	mu       sync.Mutex
	sessions map[hash]*session
}

func newFlows() *flows { return &flows{seed: maphash.MakeSeed(), sessions: map[hash]*session{}} }

func (f *flows) hash(flow journal.Flow) hash { return path{flow.Src, flow.Dst}.hash(f.seed) }

func (f *flows) add(flow journal.Flow, s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[f.hash(flow)] = s
}

// take takes a data connection out; nil where it is unknown.
func (f *flows) take(flow journal.Flow) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hash(flow)
	s := f.sessions[h]
	delete(f.sessions, h)
	return s
}

func (f *flows) removeAll(list []journal.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, flow := range list {
		delete(f.sessions, f.hash(flow))
	}
}
