package reset

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"ftpvip/helper/packet"
)

// provocation is a TCP segment that makes the end of an established connection answer with an ACK. We do not know the
// connection's sequence numbers; the answer has them, and the reset that it gets (nf_reject) takes them from there, so
// that it is one that the end believes (RFC 5961, 3.2: it must be the very next number).
//
//	from   the other end, as the provoked one sees it
//	flags  SYN|ACK for the end that opened the connection, SYN for the one that was called: a challenge ACK comes back
//	       (RFC 5961, 4.2), and connection tracking on the way lets such a packet pass, whatever its numbers are
//	       (nf_conntrack_proto_tcp.c, TCP_CONNTRACK_IGNORE). ACK alone goes with a byte of data: out of the window, it
//	       is answered by an ACK (RFC 9293, 3.10.7.4) that no limit of challenge ACKs holds back.
func provocation(from, to netip.AddrPort, flags packet.Flags, seq, ack uint32) ([]byte, error) {
	payload := 0
	if !flags.Has(packet.SYN) {
		payload = 1
	}
	const tcpSize = 20
	var b []byte
	if to.Addr().Is4() {
		b = make([]byte, 20, 20+tcpSize+1)
		b[0] = 4<<4 | 5
		binary.BigEndian.PutUint16(b[2:], uint16(20+tcpSize+payload))
		b[8], b[9] = hops, protoTCP
		copy(b[12:], from.Addr().AsSlice()) // the kernel fills in the checksum of a header that is given to it (raw(7))
		copy(b[16:], to.Addr().AsSlice())
	} else {
		b = make([]byte, 40, 40+tcpSize+1)
		b[0] = 6 << 4
		binary.BigEndian.PutUint16(b[4:], uint16(tcpSize+payload))
		b[6], b[7] = protoTCP, hops
		copy(b[8:], from.Addr().AsSlice())
		copy(b[24:], to.Addr().AsSlice())
	}
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, tcpSize/4<<4, byte(flags))
	b = binary.BigEndian.AppendUint16(b, window)
	b = append(b, 0, 0, 0, 0) // checksum, urgent pointer
	b = append(b, make([]byte, payload)...)
	p, err := packet.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("making a packet from %s to %s: %w", from, to, err)
	}
	p.FixChecksum()
	return p.Bytes(), nil
}

const (
	protoTCP = 6
	hops     = 64
	window   = 1024
)
