// Package ftp reads FTP control connections (RFC 959, 1123, 2428, 4217) as a
// gateway sees them, segment by segment, and decides what happens to each one.
//
// A [Session] is fed with the TCP payloads of one control connection, in both
// directions. It assembles lines by sequence number, keeps track of which
// replies are due, asks its [Opener] for the data connections that are
// announced, and rewrites the announcements so that each end reads an address
// that it can reach. A rewrite never changes the length of a segment, so
// sequence numbers need no adjustment anywhere.
//
// # What is decided where the RFCs leave it open
//
// What a receiver has taken is what its acknowledgements say. Early segments,
// beyond a gap, are dropped: TCP repeats them in order, and nothing passes
// unread. A gap is given up where the receiver has what is missing (it never
// came this way), or where the sender repeats what follows for long; what is
// before it never passes then, unless it is acknowledged.
//
// A helper that starts is told what the one before had let go ([Session.Memory],
// [Session.Recall]). Without that it knows less:
//
// A session is seen from its start ([Fresh]) where conntrack saw its SYN while
// the helper was listening: the server's first acknowledgement says where the
// client's stream begins. Any other is picked up in the middle ([Midway]). There
// the client's line may have begun before, and what could be the rest of a PORT,
// EPRT, LPRT or LPSV is spoilt, line by line, until the server's acknowledgement
// proves where lines start. A 227, 229 or 234 that comes within 30 s may answer
// a command that was not seen.
//
// Nothing is complete before its line ends. Of a command without its end as
// much goes on as can still be refused: the verb, and in two-arm mode the
// client's own address and port. The rest is held. After 400 ms a part goes on
// in a form that can be completed, because by then senders repeat themselves and
// send nothing new; what has no such form is refused after 12 s.
//
// What policy refuses is turned, at equal length, into something that the other
// end answers with one error at once: a command becomes one that no server
// knows, a reply becomes a 425. So does an announcement into which our address
// does not fit. A 227 that nobody asked for loses its address, and so do a 228 or
// 229 that names one, and further lines of such a reply.
//
// A session is opaque once the server's own TLS record stands in the place of a
// reply; until then the client is read, whatever its bytes look like. It is
// readable again when either end sends a segment of whole lines of plain FTP:
// CCC itself is encrypted. After TLS, gaps are normal: the kernel keeps TLS
// records out of the queue.
//
// The package does no I/O, has no clock and starts no goroutine.
package ftp

import (
	"errors"
	"net/netip"
)

// Direction says who sent a segment.
type Direction uint8

// The two directions of a control connection.
const (
	FromClient Direction = iota
	FromServer
)

// String returns "client" or "server".
func (d Direction) String() string {
	if d == FromServer {
		return "server"
	}
	return "client"
}

// Endpoints are the fixed facts of one control connection. IPv4 addresses are written as such, not mapped into IPv6.
type Endpoints struct {
	Client  netip.AddrPort // the client as it came in
	VIP     netip.AddrPort // what the client connected to
	Backend netip.AddrPort // where the connection was sent
	Seen    netip.AddrPort // the client as the backend sees it
}

// OneArm reports whether the backend sees another address than the client's.
func (e Endpoints) OneArm() bool { return e.Seen.Addr() != e.Client.Addr() }

// Policy says what is allowed on the control connections of one VIP.
// The zero value is strict and needs no further setting.
type Policy struct {
	Advertise     netip.Addr             // what 227 replies name; invalid: the VIP's address
	AdvertiseTo   []Advertise            // to some clients; the first that fits counts, and goes before Advertise
	Aliases       []netip.Addr           // further addresses that the backend may name in a 227
	Reserved      func(port uint16) bool // VIP ports that no data connection may get; may be nil
	Slice         Ports                  // of the reserved ones, those that lead to the backend's port of the same number anyway
	Range         Ports                  // of ports that are announced in the place of a busy one; empty: any
	RefuseTLS     bool                   // AUTH is refused where there is no Slice: nobody can announce data connections then
	PortsMin      uint16                 // lowest port of a data connection; 0 means 1024 (RFC 2577, section 3)
	FXPAllow      bool                   // PORT and EPRT may name a third party
	DataSourceAny bool                   // passive data may come from another address than the client's
}

// Advertise is what 227 replies name to some clients.
type Advertise struct {
	Clients netip.Prefix
	Address netip.Addr
}

// Ports is a range of ports; the zero value is empty.
type Ports struct{ First, Last uint16 }

func (r Ports) has(p uint16) bool { return p != 0 && r.First <= p && p <= r.Last }

// DefaultPortsMin is the lowest data port where a Policy names none (RFC 2577, section 3).
const DefaultPortsMin = 1024

func (p *Policy) portsMin() uint16 {
	if p.PortsMin == 0 {
		return DefaultPortsMin
	}
	return p.PortsMin
}

// DataConn is one announced data connection, for which an expectation is wanted.
type DataConn struct {
	Command   Command        // the announcing verb: PASV, EPSV, PORT, EPRT
	Passive   bool           // the client connects; otherwise the backend does
	At        netip.AddrPort // where the connection will be sent to, as this host sees it: VIP:port, or the client (as the backend sees it):port
	Port      uint16         // At's port
	To        netip.AddrPort // where it must end: backend:port, or client:port
	AnySource bool           // passive: the source may differ from the client's address

	// Provisional: the line that announces it has not come to its end yet. Another port may follow at once, or nothing;
	// it is no announcement that is to be waited for.
	Provisional bool
}

// Opener makes expectations. Open is called before the announcement passes.
// ErrPortBusy asks for another port; with any other error the data connection
// cannot be had, ErrQuota saying that policy forbids it.
// Open must take an equal DataConn twice: a helper that was restarted reads a
// retransmitted announcement again.
type Opener interface {
	Open(DataConn) error
}

// Errors that an Opener returns for the engine to act on.
var (
	ErrPortBusy = errors.New("port is taken by another connection")
	ErrQuota    = errors.New("quota of expectations is used up")
)

// Segment is what the engine reads of one TCP segment that the receiver's TCP may take: in an established connection,
// with the ACK flag, a right checksum, and without SYN, RST and URG. Others are not to come here.
type Segment struct {
	Seq, Ack uint32
	Payload  []byte // valid until Session.Segment returns
}

// Start says what is known about a connection whose Session is made.
type Start uint8

// The starts.
const (
	Midway    Start = iota // picked up: anything may have been said before
	Fresh                  // every byte after the handshake comes to the Session
	Encrypted              // picked up, and known to be in TLS
)

// Action is what becomes of a segment.
type Action uint8

// The actions. A segment without a verdict is held.
const (
	Pass    Action = iota // goes on as it came
	Drop                  // is dropped; TCP sends it again where that is needed
	Rewrite               // goes on with another payload of the same length
)

// String returns "pass", "drop" or "rewrite".
func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case Drop:
		return "drop"
	case Rewrite:
		return "rewrite"
	}
	return "unknown"
}

// Verdict is the decision on one segment.
type Verdict struct {
	Tag     uint32
	Action  Action
	Payload []byte // with Rewrite: the whole new payload; valid until the next call on the Session
}

// Stats is what a session log wants to know.
type Stats struct {
	User     string              // last USER argument, printable, shortened
	TLS      bool                // AUTH was accepted, or TLS from the first byte
	Opened   [NumCommands]uint32 // announced data connections by verb
	Refused  uint32              // refused by policy, or for want of an expectation
	NoFit    uint32              // announcements that could not be rewritten at equal length
	Commands uint32              // command lines read
	Replies  uint32              // final replies read
}

// Opens is the number of data connections announced with c.
func (s *Stats) Opens(c Command) uint32 { return s.Opened[c] }
