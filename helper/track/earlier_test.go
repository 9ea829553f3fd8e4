package track

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
)

// dataOf is a data connection in active mode of one-arm, as conntrack has it: from a port of a backend to one of ours,
// and for the client from a port of the VIP.
func dataOf(c Connection, backend, at, client netip.AddrPort, port uint16) *conntrack.Flow {
	return &conntrack.Flow{
		TupleOrig:   Tuple(backend, at),
		TupleReply:  Tuple(client, netip.AddrPortFrom(c.VIP.Addr(), port)),
		TupleMaster: c.Original(),
	}
}

// TestEarlier remembers data connections as long as conntrack does.
func TestEarlier(t *testing.T) {
	client, ours := at("203.0.113.9:50000"), at("10.2.0.1:50000")
	backend, other := oneArm.Backend.Addr(), at("10.2.0.99:20")
	e := NewEarlier()
	first := dataOf(oneArm, other, ours, client, 20)
	for _, f := range []*conntrack.Flow{
		first, first,
		dataOf(oneArm, at("10.2.0.99:1020"), ours, client, 317),
		dataOf(oneArm, netip.AddrPortFrom(backend, 20), ours, client, 6),                       // its own, that makes way
		dataOf(oneArm, netip.AddrPortFrom(backend, 20), at("10.2.0.1:50001"), client, 7),       // its own, by another port of ours
		dataOf(oneArm, other, ours, at("203.0.113.9:50001"), 8),                                // to another port of the client
		{TupleOrig: Tuple(other, client), TupleReply: Tuple(client, oneArm.VIP)},               // not translated
		{TupleOrig: Tuple(oneArm.Client, oneArm.VIP), TupleReply: Tuple(oneArm.Backend, ours)}, // a control connection
	} {
		e.Add(f)
	}
	if got, want := e.Ports(client, ours, backend), []uint16{20, 317, 7}; !slices.Equal(got, want) {
		t.Errorf("the ports %v, want %v", got, want)
	}
	first.TupleMaster = conntrack.Tuple{}
	e.Remove(first)
	e.Remove(first)
	if got, want := e.Ports(client, ours, backend), []uint16{317, 7}; !slices.Equal(got, want) {
		t.Errorf("after one has ended, the ports %v, want %v", got, want)
	}
	for port := range uint16(3 * maxEarlierTo) {
		e.Add(dataOf(oneArm, other, ours, client, 400+port))
	}
	got := e.Ports(client, ours, backend)
	if len(got) != maxEarlierTo || got[len(got)-1] != 400+3*maxEarlierTo-1 {
		t.Errorf("of many, the ports %v, want the last %d", got, maxEarlierTo)
	}
	for port := range uint16(3 * maxEarlierTo) {
		e.Remove(dataOf(oneArm, other, ours, client, 400+port))
	}
	e.Remove(dataOf(oneArm, other, ours, at("203.0.113.9:50001"), 8))
	if len(e.to) != 0 {
		t.Errorf("when all have ended, %d are remembered", len(e.to))
	}
	for n := range maxEarlier + 10 {
		e.Add(dataOf(oneArm, other, ours, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n >> 16)}), uint16(n)), 20))
	}
	if len(e.to) > maxEarlier {
		t.Errorf("%d are remembered, want at most %d", len(e.to), maxEarlier)
	}
}

// TestKeepApart has the kernel know which ports of the VIP a data connection cannot come from.
func TestKeepApart(t *testing.T) {
	inEmptyNamespace(t, func() error {
		e := NewEarlier()
		tracker, err := Open(e)
		if err != nil {
			return err
		}
		defer func() { _ = tracker.Close() }()
		k := tracker.(*kernelTracker)
		if err := enterControl(k.conn, oneArm); err != nil {
			return err
		}
		client, other := at("203.0.113.9:40001"), at("10.2.0.99:20")
		ours := netip.AddrPortFrom(oneArm.Seen.Addr(), 50001)
		before := conntrack.NewFlow(unix.IPPROTO_TCP, confirmed, other.Addr(), ours.Addr(), other.Port(), ours.Port(), 100, 0)
		before.TupleReply = Tuple(client, netip.AddrPortFrom(oneArm.VIP.Addr(), 20)) // nobody has heard of it
		before.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpTimeWait}
		if err := k.conn.Create(before); err != nil {
			return err
		}
		e.Add(dataOf(oneArm, at("10.2.0.98:20"), ours, client, 317))
		e.Add(dataOf(oneArm, netip.AddrPortFrom(oneArm.Backend.Addr(), 20), ours, client, 6))
		d := ftp.DataConn{Port: ours.Port(), To: client}
		if err := errors.Join(tracker.Expect(oneArm, d), tracker.Expect(oneArm, d)); err != nil {
			return err
		}
		for port, want := range map[uint16]bool{20: true, 317: true, 6: false, 7: false} {
			_, err := k.conn.Get(conntrack.Flow{TupleOrig: Tuple(netip.AddrPortFrom(oneArm.VIP.Addr(), port), ours)})
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
			if got := err == nil; got != want {
				t.Errorf("port %d is kept from the data connection: %v, want %v", port, got, want)
			}
		}
		return nil
	})
}
