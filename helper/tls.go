package helper

import (
	"maps"
	"sync"
)

// noSlice counts sessions in TLS with backends that have no passive slice, by "VIP/backend": nobody can read there which port a server
// announces, so passive data connections find no way.
type noSlice struct {
	mu       sync.Mutex
	sessions map[string]uint64
}

// add counts a session, and reports whether it is the backend's first.
func (n *noSlice) add(vip, backend string) (first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions == nil {
		n.sessions = map[string]uint64{}
	}
	key := vip + "/" + backend
	n.sessions[key]++
	return n.sessions[key] == 1
}

// counts returns a copy.
func (n *noSlice) counts() map[string]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.sessions)
}

// tlsWithoutSlice reports whether a session is in TLS with a backend that has no passive slice.
func (s *session) tlsWithoutSlice() bool {
	return s.target.policy.Slice.First == 0 && s.engine.Stats().TLS
}

// warnOfTLS warns of the first session in TLS with a backend that has no passive slice.
func (s *session) warnOfTLS() {
	if s.target.policy.Slice.First != 0 {
		return
	}
	if s.daemon.noSlice.add(s.target.vip, s.target.backend) {
		s.log().Warn("a session in TLS, and the server has no passive_ports: passive data connections of such sessions will fail, as nobody can read " +
			"which port the server announces; set passive_ports, see `ftpvip check --servers`, or tls_without_slice: refuse")
	}
}
