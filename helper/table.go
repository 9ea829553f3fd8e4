package helper

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"

	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// path is what identifies a packet of a connection: after NAT, a connection has one for each direction, and
// they are not mirror images.
type path struct {
	src, dst netip.AddrPort
}

// pathsOf are those of a connection: from the client to the backend, from the VIP to the client.
func pathsOf(c *track.Connection) [2]path {
	return [2]path{{c.Seen, c.Backend}, {c.VIP, c.Client}}
}

// hasPath reports whether a path is one of the connection's.
func hasPath(c *track.Connection, p path) bool {
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

// hash identifies a path with a third of its size. The seed is random for each process, so a client cannot make two paths
// collide. A collision by chance is very rare, and costs the log line of one session.
type hash uint64

func (p path) hash(seed maphash.Seed) hash {
	k := p.key()
	return hash(maphash.Bytes(seed, k[:]))
}

// shards is the number of parts of the table. Listing all sessions locks one part at a time, so a packet waits while a few
// hundred sessions are listed, not all.
const shards = 64

// table holds the sessions of this host, each under both its paths.
type table struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.RWMutex
	sessions map[hash]*session
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].sessions = map[hash]*session{}
	}
	return t
}

func (t *table) shard(h hash) *shard { return &t.shards[h%shards] }

func (t *table) find(p path) *session {
	h := p.hash(t.seed)
	x := t.shard(h)
	x.mu.RLock()
	s := x.sessions[h]
	x.mu.RUnlock()
	if s == nil || !hasPath(&s.conn, p) {
		return nil
	}
	return s
}

// hashes of a connection's paths.
func (t *table) hashes(c *track.Connection) (list [2]hash) {
	for i, p := range pathsOf(c) {
		list[i] = p.hash(t.seed)
	}
	return list
}

// lock locks the parts of two hashes, and returns what unlocks them. All who lock two do it in the same order.
func (t *table) lock(list [2]hash) (unlock func()) {
	first, second := list[0]%shards, list[1]%shards
	if first > second {
		first, second = second, first
	}
	t.shards[first].mu.Lock()
	if first == second {
		return t.shards[first].mu.Unlock
	}
	t.shards[second].mu.Lock()
	return func() {
		t.shards[second].mu.Unlock()
		t.shards[first].mu.Unlock()
	}
}

// add adds a session, unless a packet of the other direction was faster: then it returns that one. Sessions that had one of
// its paths before are removed and returned as stale: the events of their end were lost.
func (t *table) add(s *session) (current *session, stale []*session) {
	list := t.hashes(&s.conn)
	unlock := t.lock(list)
	for _, h := range list {
		other := t.shard(h).sessions[h]
		if other == nil {
			continue
		}
		if other.conn == s.conn {
			unlock()
			return other, nil
		}
		if !slices.Contains(stale, other) {
			stale = append(stale, other)
		}
	}
	for _, h := range list {
		t.shard(h).sessions[h] = s
	}
	unlock()
	for _, other := range stale {
		t.delete(other) // its other path
	}
	return s, stale
}

// remove takes the session with a client-side path out, if it has that conntrack id (0: any).
func (t *table) remove(c track.Connection) *session {
	s := t.find(path{c.VIP, c.Client})
	if s == nil || (c.ID != 0 && s.conn.ID != c.ID) || !t.delete(s) {
		return nil
	}
	return s
}

// delete takes a session out. It is false where nothing was left of it: somebody else was faster.
func (t *table) delete(s *session) (deleted bool) {
	list := t.hashes(&s.conn)
	defer t.lock(list)()
	for _, h := range list {
		if x := t.shard(h); x.sessions[h] == s {
			delete(x.sessions, h)
			deleted = true
		}
	}
	return deleted
}

// idle lists the sessions of one part that are without a packet since a moment.
func (t *table) idle(part int, since moment) (list []*session) {
	x := &t.shards[part]
	x.mu.RLock()
	defer x.mu.RUnlock()
	for h, s := range x.sessions {
		if s.lastSeen() < since && h == (path{s.conn.VIP, s.conn.Client}).hash(t.seed) { // not the entry of its other path
			list = append(list, s)
		}
	}
	return list
}

// all lists all sessions. Those that come or go meanwhile may be missing.
func (t *table) all() (list []*session) {
	for part := range shards {
		list = append(list, t.idle(part, math.MaxInt64)...)
	}
	return list
}

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
