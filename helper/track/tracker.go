// Package track is conntrack's vocabulary: tuples, states, labels, expectations, events, and the connections that they are about.
package track

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
)

// Connection is what conntrack knows of one control connection: Client is the original source, VIP the original
// destination, Backend the reply's source and Seen the reply's destination.
type Connection struct {
	ID       uint32 // of the conntrack entry
	Reversed bool   // conntrack saw a packet of the backend first
	ZoneOrig bool   // see Zone
	ZoneID   uint16 // of the conntrack zone; 0: the usual one
	ftp.Endpoints
}

// Zone is the connection's conntrack zone.
func (c *Connection) Zone() Zone { return Zone{c.ZoneID, c.ZoneOrig} }

// Original is the connection as conntrack has it, which an expectation names as its master.
func (c *Connection) Original() conntrack.Tuple {
	if c.Reversed {
		return Tuple(c.Backend, c.Seen)
	}
	return Tuple(c.Client, c.VIP)
}

// Tracker is the interface to the kernel's conntrack.
type Tracker interface {
	// Lookup finds the connection of a packet, in whichever direction it goes; after NAT the packet's inverted
	// tuple is that of the other direction. It returns ErrNoConnection if there is none.
	// The entry is as conntrack has it: where it began with a server's packet, the connection is what turned makes of it.
	Lookup(src, dst netip.AddrPort) (Entry, error)
	// Expect announces a data connection. It returns ftp.ErrPortBusy where another flow has the tuple, and
	// ErrNoCarrier where no expectation can hang on c.
	Expect(c Connection, d ftp.DataConn) error
	Inspector
	Close() error
}

// Errors of a Tracker.
var (
	ErrNoConnection = errors.New("no such connection in conntrack")
	ErrNoCarrier    = errors.New("the control connection carries no conntrack helper: " +
		"it began before `ftpvip apply`, or another rule attached its own helper; the client has to connect again")
)

// kernelTracker speaks to ctnetlink.
type kernelTracker struct {
	conn     *conntrack.Conn
	expecter *expecter
	earlier  *Earlier
}

// Open connects to the conntrack of the current network namespace. Several trackers may share what they know of earlier
// data connections.
func Open(e *Earlier) (Tracker, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	x, err := openExpecter()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a netlink socket for expectations: %w", err), conn.Close())
	}
	return &kernelTracker{conn, x, e}, nil
}

func (t *kernelTracker) Close() error { return errors.Join(t.conn.Close(), t.expecter.close()) }

// Lookup implements Tracker. The kernel finds an entry by the tuple of either direction.
func (t *kernelTracker) Lookup(src, dst netip.AddrPort) (Entry, error) {
	f, err := t.get(conntrack.Flow{TupleOrig: Tuple(dst, src)})
	if errors.Is(err, unix.ENOENT) {
		return Entry{}, ErrNoConnection
	}
	if err != nil {
		return Entry{}, fmt.Errorf("looking up the connection %s to %s: %w", src, dst, err)
	}
	return entryOf(&f), nil
}

// get finds an entry in whatever zone it is.
func (t *kernelTracker) get(question conntrack.Flow) (conntrack.Flow, error) {
	f, err := t.conn.Get(question)
	if !errors.Is(err, unix.ENOENT) || t.earlier == nil {
		return f, err
	}
	for _, zone := range t.earlier.Zones.all() {
		if f, err := t.conn.Get(zone.In(question)); !errors.Is(err, unix.ENOENT) {
			return f, err
		}
	}
	return f, err
}

// ConnectionOf reads an entry as if the client opened the connection.
func ConnectionOf(f *conntrack.Flow) Connection {
	zone := ZoneOf(f)
	return Connection{
		ID: f.ID, ZoneID: zone.ID, ZoneOrig: zone.Orig,
		Endpoints: ftp.Endpoints{
			Client:  Source(f.TupleOrig),
			VIP:     Destination(f.TupleOrig),
			Backend: Source(f.TupleReply),
			Seen:    Destination(f.TupleReply),
		},
	}
}

// Expect implements Tracker.
func (t *kernelTracker) Expect(c Connection, d ftp.DataConn) error {
	e := expectation(c, d)
	if !d.Passive && c.OneArm() { // the server opens it to a port of ours
		if err := t.keepApart(c, d, &e); err != nil {
			return err
		}
	}
	err := t.expecter.create(&e)
	if errors.Is(err, unix.EEXIST) {
		if err = t.whose(&e); errors.Is(err, ftp.ErrPortBusy) && latestWins(c, d) {
			err = t.replace(&e)
		}
		if errors.Is(err, unix.ENOENT) { // it was used up meanwhile
			err = t.expecter.create(&e)
		}
	}
	switch {
	case err == nil, errors.Is(err, ftp.ErrPortBusy):
		return err
	case errors.Is(err, unix.EEXIST):
		return ftp.ErrPortBusy // somebody was faster than replace
	case errors.Is(err, unix.EBUSY):
		return ftp.ErrPortBusy
	case errors.Is(err, unix.ESHUTDOWN), errors.Is(err, unix.EOPNOTSUPP):
		return ErrNoCarrier
	case errors.Is(err, unix.ENOENT):
		return ErrNoConnection
	}
	return fmt.Errorf("creating the expectation: %w", err)
}

// whose decides about an expectation that exists already. The same one was announced before, by this helper or by the one
// before a restart. One with another master or another destination belongs to another session: two clients behind one
// address may be given the same port by two backends. The error is unix.ENOENT if it is gone.
func (t *kernelTracker) whose(want *conntrack.Expect) error {
	have, err := t.expecter.get(want)
	if err != nil {
		return err
	}
	if have != announcedBy(want) {
		return ftp.ErrPortBusy
	}
	return nil
}

// latestWins reports whether an announcement replaces an earlier one of the same data connection. The client listens on its
// own port, so no other port can be used. An earlier session of the client may have announced the port without using it, and
// conntrack keeps that expectation for as long as the session, and two more minutes. In one-arm mode the port is ours, and
// we choose another one.
func latestWins(c Connection, d ftp.DataConn) bool {
	return !d.Passive && !c.OneArm()
}

// portFTPData is where servers open data connections from (RFC 959, section 3.2), whatever port they listen on.
const portFTPData = 20

// placeholderSeconds is for how long a source port is kept from a data connection: as long as its expectation lasts.
const placeholderSeconds = 300

// keepApart ensures that the data connection differs from earlier ones to the same port of the client, which conntrack keeps
// for two minutes after their end, and the client for one. All come from the VIP, and mostly from the same port.
//
// nf_nat_follow_master chooses the source port before it replaces our address and port by the client's. At that moment it
// sees no conflict with an earlier connection, neither for port 20 nor for a random port of the 511 low ones; later the kernel
// finds the conflict and drops the packet. So each earlier connection gets a placeholder: an entry as the connection would
// look between the two steps. Then the kernel avoids its port.
func (t *kernelTracker) keepApart(c Connection, d ftp.DataConn, e *conntrack.Expect) error {
	at := Destination(e.Tuple)
	taken := t.earlier.Ports(d.To, at, c.Backend.Addr())
	likely := []uint16{portFTPData, c.Backend.Port() - 1} // where servers open data connections from
	for _, port := range slices.Compact(likely) {
		if slices.Contains(taken, port) {
			continue
		}
		clash, err := t.clashes(c, d, netip.AddrPortFrom(c.VIP.Addr(), port), at)
		if err != nil {
			return fmt.Errorf("looking for connections before the one to %s: %w", d.To, err)
		}
		if clash {
			taken = append(taken, port)
		}
	}
	for _, port := range taken {
		err := t.conn.Create(c.Zone().In(conntrack.NewFlow(unix.IPPROTO_TCP, 0, c.VIP.Addr(), at.Addr(), port, at.Port(), placeholderSeconds, 0)))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("keeping the data connection to %s apart from earlier ones: %w", d.To, err)
		}
	}
	return nil
}

// clashes reports whether conntrack has a connection from a port of the VIP to the client's port. It finds connections that
// were opened before the helper started, too.
func (t *kernelTracker) clashes(c Connection, d ftp.DataConn, from, at netip.AddrPort) (bool, error) {
	have, err := t.conn.Get(c.Zone().In(conntrack.Flow{TupleOrig: Tuple(d.To, from)}))
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return Source(have.TupleOrig).Addr() != c.Backend.Addr() || Destination(have.TupleOrig) != at, err
}

// replace replaces an expectation by another one.
func (t *kernelTracker) replace(e *conntrack.Expect) error {
	if err := t.expecter.remove(e); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing an earlier expectation: %w", err)
	}
	return t.expecter.create(e)
}

// expectation is a data connection in the terms of ctnetlink. The function nat-follow-master gives the data connection the
// address translation of its control connection (net/netfilter/nf_nat_core.c); its name is sent with the NUL that the kernel
// expects. It knows only the two ends of the control connection. A data connection to a third host (FXP) is announced without
// it; our own rules translate it, usually a source group. The direction of the translation is relative to conntrack's view of
// the control connection.
func expectation(c Connection, d ftp.DataConn) conntrack.Expect {
	from, at := c.Client.Addr(), netip.AddrPortFrom(c.VIP.Addr(), d.Port)
	if !d.Passive {
		from, at = c.Backend.Addr(), netip.AddrPortFrom(c.Seen.Addr(), d.Port)
	}
	maskFrom := ones(from)
	if d.AnySource {
		maskFrom = zeros(from)
	}
	e := conntrack.Expect{
		TupleMaster: c.Original(),
		Zone:        c.ZoneID,
		Mask:        Tuple(netip.AddrPortFrom(maskFrom, 0), netip.AddrPortFrom(ones(from), 0xffff)),
		Timeout:     300, // the kernel takes the carrier's
	}
	if !d.Passive && d.To.Addr() != c.Client.Addr() {
		e.Tuple = Tuple(netip.AddrPortFrom(from, 0), d.To)
		return e
	}
	e.Tuple = Tuple(netip.AddrPortFrom(from, 0), at)
	e.Function = "nat-follow-master\x00"
	e.NAT = conntrack.ExpectNAT{Direction: d.Passive == c.Reversed, Tuple: Tuple(d.To, at)}
	return e
}

// Tuple is that of a TCP connection's direction.
func Tuple(src, dst netip.AddrPort) conntrack.Tuple {
	return conntrack.Tuple{
		IP: conntrack.IPTuple{SourceAddress: src.Addr(), DestinationAddress: dst.Addr()},
		Proto: conntrack.ProtoTuple{
			Protocol: unix.IPPROTO_TCP, SourcePort: src.Port(), DestinationPort: dst.Port(),
		},
	}
}

// Source is where the packets of a tuple come from.
func Source(t conntrack.Tuple) netip.AddrPort {
	return netip.AddrPortFrom(t.IP.SourceAddress, t.Proto.SourcePort)
}

// Destination is where they go to.
func Destination(t conntrack.Tuple) netip.AddrPort {
	return netip.AddrPortFrom(t.IP.DestinationAddress, t.Proto.DestinationPort)
}

// ones and zeros are masks of the family of a.
func ones(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	var b [16]byte
	for i := range b {
		b[i] = 255
	}
	return netip.AddrFrom16(b)
}

func zeros(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
