// Package packet reads the headers of IPv4 and IPv6 packets that carry TCP,
// and replaces their payload in place.
//
// It trusts nothing: a packet that is cut short, fragmented or contradicts
// itself is an error, never a panic.
package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Errors that Parse returns, wrapped with detail.
var (
	ErrShort    = errors.New("packet is cut short")
	ErrVersion  = errors.New("neither IPv4 nor IPv6")
	ErrHeader   = errors.New("malformed header")
	ErrFragment = errors.New("packet is a fragment")
	ErrNotTCP   = errors.New("packet does not carry TCP")
)

// Flags are the low eight TCP flags (RFC 9293, section 3.1).
type Flags uint8

// The TCP flags.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether all flags of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// IP protocol and extension header numbers (IANA "Protocol Numbers").
const (
	protoHopByHop = 0
	protoTCP      = 6
	protoRouting  = 43
	protoFragment = 44
	protoDestOpts = 60
)

// Packet is a view on a raw IP packet. It is valid as long as the bytes it was parsed from.
type Packet struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    Flags
	Payload  []byte // of TCP, without what lies beyond the IP total length

	ip  []byte // from the first byte of the IP header to the end of the payload
	tcp int    // offset of the TCP header in ip
}

// Parse reads an IP packet that starts at b[0]. Payload is a slice of b.
func Parse(b []byte) (Packet, error) {
	if len(b) < 1 {
		return Packet{}, ErrShort
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return Packet{}, fmt.Errorf("version %d: %w", b[0]>>4, ErrVersion)
}

// parse4 reads an IPv4 header (RFC 791, section 3.1).
func parse4(b []byte) (Packet, error) {
	if len(b) < 20 {
		return Packet{}, fmt.Errorf("IPv4 header: %w", ErrShort)
	}
	hlen := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case hlen < 20 || total < hlen:
		return Packet{}, fmt.Errorf("IPv4 header length %d, total length %d: %w", hlen, total, ErrHeader)
	case total > len(b):
		return Packet{}, fmt.Errorf("IPv4 total length %d of %d bytes: %w", total, len(b), ErrShort)
	case binary.BigEndian.Uint16(b[6:])&0x3fff != 0: // more fragments, or an offset
		return Packet{}, ErrFragment
	case b[9] != protoTCP:
		return Packet{}, fmt.Errorf("protocol %d: %w", b[9], ErrNotTCP)
	}
	src, _ := netip.AddrFromSlice(b[12:16])
	dst, _ := netip.AddrFromSlice(b[16:20])
	return parseTCP(b[:total], hlen, src, dst)
}

// parse6 reads an IPv6 header and skips extension headers (RFC 8200, section 4).
func parse6(b []byte) (Packet, error) {
	if len(b) < 40 {
		return Packet{}, fmt.Errorf("IPv6 header: %w", ErrShort)
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return Packet{}, fmt.Errorf("IPv6 length %d of %d bytes: %w", total, len(b), ErrShort)
	}
	b = b[:total]
	next, off := b[6], 40
	for next != protoTCP {
		switch next {
		case protoHopByHop, protoRouting, protoDestOpts:
		case protoFragment:
			return Packet{}, ErrFragment
		default:
			return Packet{}, fmt.Errorf("next header %d: %w", next, ErrNotTCP)
		}
		if off+8 > total {
			return Packet{}, fmt.Errorf("IPv6 extension header %d: %w", next, ErrShort)
		}
		n := 8 + 8*int(b[off+1])
		if off+n > total {
			return Packet{}, fmt.Errorf("IPv6 extension header %d: %w", next, ErrShort)
		}
		next, off = b[off], off+n
	}
	src, _ := netip.AddrFromSlice(b[8:24])
	dst, _ := netip.AddrFromSlice(b[24:40])
	return parseTCP(b, off, src, dst)
}

// parseTCP reads the TCP header at ip[off:] (RFC 9293, section 3.1).
func parseTCP(ip []byte, off int, src, dst netip.Addr) (Packet, error) {
	t := ip[off:]
	if len(t) < 20 {
		return Packet{}, fmt.Errorf("TCP header: %w", ErrShort)
	}
	data := int(t[12]>>4) * 4
	if data < 20 {
		return Packet{}, fmt.Errorf("TCP data offset %d: %w", data, ErrHeader)
	}
	if data > len(t) {
		return Packet{}, fmt.Errorf("TCP data offset %d of %d bytes: %w", data, len(t), ErrShort)
	}
	return Packet{
		Src:     netip.AddrPortFrom(src, binary.BigEndian.Uint16(t)),
		Dst:     netip.AddrPortFrom(dst, binary.BigEndian.Uint16(t[2:])),
		Seq:     binary.BigEndian.Uint32(t[4:]),
		Ack:     binary.BigEndian.Uint32(t[8:]),
		Flags:   Flags(t[13]),
		Payload: t[data:],
		ip:      ip,
		tcp:     off,
	}, nil
}

// Bytes returns the packet from its first header byte to the end of its payload.
func (p *Packet) Bytes() []byte { return p.ip }
