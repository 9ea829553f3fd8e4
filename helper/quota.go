package helper

import (
	"net/netip"
	"sync"

	"ftpvip/configs"
)

// quota counts the sessions that wait for a data connection, of each client address and of all. A session has one
// place at most: where it announces another data connection, the kernel forgets the one before (the carrier has room
// for one). So what is taken is given back at the session's end at the latest.
type quota struct {
	mu      sync.Mutex
	total   int
	clients map[netip.Addr]int
}

func newQuota() *quota { return &quota{clients: map[netip.Addr]int{}} }

// take gets a place, unless the limits forbid it; a limit of 0 is none.
func (q *quota) take(client netip.Addr, limits *configs.Helper) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limits.MaxData > 0 && q.total >= limits.MaxData ||
		limits.MaxDataPerClient > 0 && q.clients[client] >= limits.MaxDataPerClient {
		return false
	}
	q.total++
	q.clients[client]++
	return true
}

// give gives a place back.
func (q *quota) give(client netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total--
	if q.clients[client]--; q.clients[client] <= 0 {
		delete(q.clients, client)
	}
}

// taken is how many places are taken.
func (q *quota) taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}
