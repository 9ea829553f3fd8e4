package track

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/ti-mo/conntrack"
)

// Bounds of earlier. Where one is met, less is remembered, and the kernel's choice of a port may be a taken one.
const (
	maxEarlierTo = 16      // connections to one port of a client's: the VIP's ports that an announcement has to avoid
	maxEarlier   = 1 << 16 // ports of clients
)

// Earlier remembers which ports of the VIP the data connections came from that conntrack has not forgotten, by the
// client's port that they went to. It is of those in active mode of one-arm, where the backend connects to an address
// of ours.
type Earlier struct {
	mu sync.Mutex
	to map[netip.AddrPort][]opened

	Zones Zones
}

// opened is a data connection that a backend has opened.
type opened struct {
	backend netip.AddrPort
	at      netip.AddrPort // ours, that the backend connected to
	from    netip.AddrPort // the VIP's, that the client sees
}

// NewEarlier remembers nothing yet.
func NewEarlier() *Earlier { return &Earlier{to: map[netip.AddrPort][]opened{}} }

// openedBy reads a conntrack entry of a data connection. It is not ok for one that is not to an address of ours.
func openedBy(f *conntrack.Flow) (client netip.AddrPort, o opened, ok bool) {
	client = Source(f.TupleReply)
	o = opened{backend: Source(f.TupleOrig), at: Destination(f.TupleOrig), from: Destination(f.TupleReply)}
	peers := []netip.Addr{Source(f.TupleMaster).Addr(), Destination(f.TupleMaster).Addr()}
	return client, o, o.at != client && slices.Contains(peers, client.Addr())
}

// Add remembers a data connection that was opened.
func (e *Earlier) Add(f *conntrack.Flow) {
	client, o, ok := openedBy(f)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known, have := e.to[client]
	if !have && len(e.to) >= maxEarlier || slices.Contains(known, o) {
		return
	}
	e.to[client] = append(known[max(0, len(known)-maxEarlierTo+1):], o)
}

// Remove forgets what conntrack has forgotten. The event of an end does not always name the control connection.
func (e *Earlier) Remove(f *conntrack.Flow) {
	client, o, _ := openedBy(f)
	e.mu.Lock()
	defer e.mu.Unlock()
	known, have := e.to[client]
	if !have {
		return
	}
	if known = slices.DeleteFunc(known, func(k opened) bool { return k == o }); len(known) == 0 {
		delete(e.to, client)
		return
	}
	e.to[client] = known
}

// Ports are those of the VIP that connections to a client's port came from, but for those of the same backend to the
// same port of ours: the next one takes their place in conntrack.
func (e *Earlier) Ports(client, at netip.AddrPort, backend netip.Addr) (ports []uint16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.to[client] {
		if o.at != at || o.backend.Addr() != backend {
			ports = append(ports, o.from.Port())
		}
	}
	return ports
}
