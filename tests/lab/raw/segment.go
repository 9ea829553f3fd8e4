// Package raw sends single TCP segments that no socket would send, on the link of a host of the lab. They pass by the
// host's own netfilter and TCP.
package raw

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"ftpvip/helper/packet"
)

// Segment is a TCP segment without options.
type Segment struct {
	Src, Dst    netip.AddrPort
	Seq, Ack    uint32
	Flags       packet.Flags
	Urgent      uint16 // the urgent pointer; of use with packet.URG
	Payload     []byte
	BadChecksum bool
}

const (
	header4, header6, headerTCP = 20, 40, 20
	protoTCP                    = 6
	hops                        = 64
	window                      = 0xffff
)

// bytes is the whole IP packet.
func (s *Segment) bytes() ([]byte, error) {
	var b []byte
	size := headerTCP + len(s.Payload)
	if s.Src.Addr().Is4() {
		b = make([]byte, header4+size)
		b[0], b[8], b[9] = 4<<4|header4/4, hops, protoTCP
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		copy(b[12:], s.Src.Addr().AsSlice())
		copy(b[16:], s.Dst.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[10:], headerChecksum(b[:header4]))
	} else {
		b = make([]byte, header6+size)
		b[0], b[6], b[7] = 6<<4, protoTCP, hops
		binary.BigEndian.PutUint16(b[4:], uint16(size))
		copy(b[8:], s.Src.Addr().AsSlice())
		copy(b[24:], s.Dst.Addr().AsSlice())
	}
	t := b[len(b)-size:]
	binary.BigEndian.PutUint16(t, s.Src.Port())
	binary.BigEndian.PutUint16(t[2:], s.Dst.Port())
	binary.BigEndian.PutUint32(t[4:], s.Seq)
	binary.BigEndian.PutUint32(t[8:], s.Ack)
	t[12], t[13] = headerTCP/4<<4, byte(s.Flags)
	binary.BigEndian.PutUint16(t[14:], window)
	binary.BigEndian.PutUint16(t[18:], s.Urgent)
	copy(t[headerTCP:], s.Payload)
	p, err := packet.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("building a segment: %w", err)
	}
	p.FixChecksum()
	if s.BadChecksum {
		t[16] ^= 0xff
	}
	return b, nil
}

// headerChecksum is the IPv4 header's (RFC 1071).
func headerChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
