package helper

import (
	"net/netip"
	"sync"

	"ftpvip/configs"
)

// quota counts the sessions that wait for a data connection, of each client and of all. A session has one
// place at most: if it announces another data connection, the kernel removes the one before (the carrier has room for one).
// So a place is released at the end of the session at the latest.
type quota struct {
	mu      sync.Mutex
	total   int
	clients map[netip.Prefix]int
}

// whoIs is the client that an address belongs to. An IPv6 host can use every address of its /64 (RFC 4291, section 2.5.1), so
// the network counts as one client, as it does for `limits` of a VIP (rules.Client).
func whoIs(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	p, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the zero address: there is none
	}
	return p
}

func newQuota() *quota { return &quota{clients: map[netip.Prefix]int{}} }

// take takes a place, unless that exceeds a limit; 0 means no limit.
func (q *quota) take(client netip.Addr, limits *configs.Helper) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	who := whoIs(client)
	if limits.MaxData > 0 && q.total >= limits.MaxData ||
		limits.MaxDataPerClient > 0 && q.clients[who] >= limits.MaxDataPerClient {
		return false
	}
	q.total++
	q.clients[who]++
	return true
}

// give releases a place.
func (q *quota) give(client netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	who := whoIs(client)
	if q.clients[who]--; q.clients[who] <= 0 {
		delete(q.clients, who)
	}
}

// taken is how many places are taken.
func (q *quota) taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
