package helper

import (
	"net/netip"
	"sync"
	"time"

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

// table holds the sessions of this host.
type table struct {
	mu       sync.RWMutex
	sessions map[path]*session
}

func newTable() *table { return &table{sessions: map[path]*session{}} }

func (t *table) find(p path) *session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.sessions[p]
}

// add enters a session, unless the other direction's packet was faster: then it returns that one. A session
// that had the same addresses before is returned as stale: its ending was not heard of.
func (t *table) add(s *session) (current, stale *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	paths := s.conn.paths()
	if other := t.sessions[paths[0]]; other != nil {
		if other.conn == s.conn {
			return other, nil
		}
		stale = other
	}
	for _, p := range paths {
		t.sessions[p] = s
	}
	return s, stale
}

// remove takes the session with a client-side path out, if it has that conntrack id (0: any).
func (t *table) remove(c Connection) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[path{c.VIP, c.Client}]
	if s == nil || (c.ID != 0 && s.conn.ID != c.ID) {
		return nil
	}
	for _, p := range s.conn.paths() {
		if t.sessions[p] == s {
			delete(t.sessions, p)
		}
	}
	return s
}

// idle lists the sessions without a packet since a moment.
func (t *table) idle(since time.Time) []*session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var list []*session
	for p, s := range t.sessions {
		if p.src != s.conn.VIP {
			continue // each session stands there twice
		}
		s.mu.Lock()
		quiet := s.seen.Before(since)
		s.mu.Unlock()
		if quiet {
			list = append(list, s)
		}
	}
	return list
}

func (t *table) all() []*session { return t.idle(time.Now().Add(time.Hour)) }

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
