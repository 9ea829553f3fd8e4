package packet

import (
	"encoding/binary"
	"errors"
)

// ErrLength is returned for a payload of another length.
var ErrLength = errors.New("payload of another length")

// Offsets in the TCP header.
const (
	tcpFlags    = 13
	tcpChecksum = 16
	tcpUrgent   = 18
)

// SetPayload replaces the payload in place by one of the same length and
// computes the TCP checksum again. IP headers carry no checksum over the
// payload, so they stay as they are. It does not allocate.
func (p *Packet) SetPayload(b []byte) error {
	if len(b) != len(p.Payload) {
		return ErrLength
	}
	copy(p.Payload, b)
	p.FixChecksum()
	return nil
}

// ClearURG takes the urgent flag and pointer off, so that every receiver reads the same bytes: without SO_OOBINLINE it
// would leave the urgent one out (RFC 6093, section 6, advises against the mechanism and tells that middleboxes do this).
func (p *Packet) ClearURG() {
	t := p.ip[p.tcp:]
	t[tcpFlags] &^= byte(URG)
	t[tcpUrgent], t[tcpUrgent+1] = 0, 0
	p.Flags &^= URG
	p.FixChecksum()
}

// FixChecksum computes the TCP checksum over the packet as it stands.
func (p *Packet) FixChecksum() {
	t := p.ip[p.tcp:]
	t[tcpChecksum], t[tcpChecksum+1] = 0, 0
	binary.BigEndian.PutUint16(t[tcpChecksum:], ^fold(sum(p.pseudo(), t)))
}

// SpoilChecksum gives the packet a TCP checksum that is wrong, so that its receiver drops it. The IPv4 header stays
// right: routers check that one.
func (p *Packet) SpoilChecksum() {
	p.FixChecksum()
	p.ip[p.tcp+tcpChecksum+1] ^= 1
}

// ChecksumOK reports whether the TCP checksum is right. With checksum offload
// a local packet may carry a partial one that the device completes.
func (p *Packet) ChecksumOK() bool {
	return fold(sum(p.pseudo(), p.ip[p.tcp:])) == 0xffff
}

// pseudo sums the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1).
// The addresses are read from the packet: with an IPv6 routing header that
// still has segments left, the final destination would count instead, but such
// a packet is not yet where it is going and never meets a rewrite.
func (p *Packet) pseudo() uint64 {
	s := uint64(protoTCP) + uint64(len(p.ip)-p.tcp)
	if p.ip[0]>>4 == 4 {
		return sum(s, p.ip[12:20])
	}
	return sum(s, p.ip[8:40])
}

// sum adds the 16-bit words of b to s; an odd last byte counts as a high byte (RFC 1071).
func sum(s uint64, b []byte) uint64 {
	for len(b) >= 4 {
		s += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		s += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold adds the carries until 16 bits are left.
func fold(s uint64) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
