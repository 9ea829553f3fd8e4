package walk

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
)

// Conntrack's states, with the bits that nft and iptables share.
const (
	StateInvalid     = 1
	StateEstablished = 2
	StateRelated     = 4
	StateNew         = 8
	StateUntracked   = 64
)

// Conntrack's status bits (enum ip_conntrack_status).
const (
	StatusExpected = 1 << 0
	StatusSeen     = 1 << 1
	StatusSNAT     = 1 << 4
	StatusDNAT     = 1 << 5
)

// Link is a network interface as a packet sees it. A zero name or index is unknown.
type Link struct {
	Name  string
	Index int
}

// Packet is one packet, as far as it is known. Zero values are unknown.
type Packet struct {
	Family  configs.Family
	Proto   uint8 // unix.IPPROTO_*
	In, Out *Link // nil: it has none at this hook
	Src     netip.AddrPort
	Dst     netip.AddrPort
	SYN     bool  // a TCP packet that opens a connection
	ICMP    uint8 // type of an ICMP packet; its code is unknown
	Hops    uint8 // IPv6's hop limit
	State   uint32
	Status  uint32
	// StatusKnown has the bits of Status that are known.
	StatusKnown uint32
	// Original is the connection's first packet before any NAT.
	OriginalSrc, OriginalDst netip.AddrPort
	Reply                    bool // the packet goes the other way
	DstLocal, DstNotLocal    bool // what the routing table says of Dst

	// Expected says whether another connection announced the packet's, and Helper the conntrack helper of that one.
	Expected bool
	Helper   string // "": unknown
}

// bits is data of which some bits are known.
type bits struct{ data, known []byte }

func unknown(n int) bits { return bits{make([]byte, n), make([]byte, n)} }

func known(data []byte) bits {
	k := make([]byte, len(data))
	for i := range k {
		k[i] = 0xff
	}
	return bits{data, k}
}

func number(n uint32) bits {
	b := make([]byte, 4)
	binary.NativeEndian.PutUint32(b, n)
	return known(b)
}

func partly(n, mask uint32) bits {
	b := number(n & mask)
	binary.NativeEndian.PutUint32(b.known, mask)
	return b
}

// put copies src over b at an offset.
func (b bits) put(at int, src []byte) {
	copy(b.data[at:], src)
	for i := range src {
		b.known[at+i] = 0xff
	}
}

func (b bits) slice(at, n int) bits {
	out := unknown(n)
	if at >= 0 && at < len(b.data) {
		copy(out.data, b.data[at:])
		copy(out.known, b.known[at:])
	}
	return out
}

// network is the packet's network header.
func (p *Packet) network() bits {
	if p.Family == configs.IPv4 {
		h := unknown(20)
		h.put(0, []byte{0x45})
		h.put(6, []byte{0x40, 0}) // no fragment
		h.put(9, []byte{p.Proto})
		putAddr(h, 12, p.Src.Addr())
		putAddr(h, 16, p.Dst.Addr())
		return h
	}
	h := unknown(40)
	h.put(0, []byte{0x60})
	h.put(6, []byte{p.Proto})
	if p.Hops != 0 {
		h.put(7, []byte{p.Hops})
	}
	putAddr(h, 8, p.Src.Addr())
	putAddr(h, 24, p.Dst.Addr())
	return h
}

func putAddr(h bits, at int, a netip.Addr) {
	if a.IsValid() {
		h.put(at, a.AsSlice())
	}
}

// transport is the packet's transport header.
func (p *Packet) transport() bits {
	h := unknown(20)
	if p.Proto != unix.IPPROTO_TCP {
		h.put(0, []byte{p.ICMP})
		return h
	}
	putPort(h, 0, p.Src.Port())
	putPort(h, 2, p.Dst.Port())
	if p.SYN {
		h.put(13, []byte{0x02})
	} else {
		h.put(13, []byte{0x10}) // an ACK, as most are
		h.known[13] = 0x10 | 0x02 | 0x04 | 0x20
	}
	return h
}

func putPort(h bits, at int, p uint16) {
	if p != 0 {
		h.put(at, binary.BigEndian.AppendUint16(nil, p))
	}
}

// load is what a field of the packet holds. ok is false where the kernel would leave the rule, as the packet has no
// such thing.
func (p *Packet) load(f Field) (b bits, ok bool) {
	switch f.Kind {
	case Meta:
		return p.meta(f.Key)
	case CT:
		return p.conntrack(f), true
	case Network:
		return p.network().slice(int(f.Key), f.Len), true
	case Transport:
		return p.transport().slice(int(f.Key), f.Len), true
	case FIB:
		return p.fib(f), true
	case Elsewhere:
	}
	return unknown(16), true
}

// meta loads by linux/netfilter/nf_tables.h, enum nft_meta_keys.
func (p *Packet) meta(key uint32) (bits, bool) {
	link := func(l *Link, load func(l *Link) bits) (bits, bool) {
		if l == nil {
			return bits{}, false
		}
		return load(l), true
	}
	index := func(l *Link) bits {
		if l.Index == 0 {
			return unknown(4)
		}
		return number(uint32(l.Index))
	}
	name := func(l *Link) bits {
		b := unknown(unix.IFNAMSIZ)
		if l.Name != "" {
			b.put(0, append([]byte(l.Name), make([]byte, unix.IFNAMSIZ-len(l.Name))...))
		}
		return b
	}
	switch key {
	case unix.NFT_META_IIF:
		return link(p.In, index)
	case unix.NFT_META_OIF:
		return link(p.Out, index)
	case unix.NFT_META_IIFNAME:
		return link(p.In, name)
	case unix.NFT_META_OIFNAME:
		return link(p.Out, name)
	case unix.NFT_META_NFPROTO:
		if p.Family == configs.IPv4 {
			return known([]byte{unix.NFPROTO_IPV4}), true
		}
		return known([]byte{unix.NFPROTO_IPV6}), true
	case unix.NFT_META_L4PROTO:
		return known([]byte{p.Proto}), true
	case unix.NFT_META_PROTOCOL:
		kind := uint16(unix.ETH_P_IP)
		if p.Family == configs.IPv6 {
			kind = unix.ETH_P_IPV6
		}
		return known(binary.BigEndian.AppendUint16(nil, kind)), true
	case unix.NFT_META_PKTTYPE:
		return known([]byte{0}), true // PACKET_HOST
	}
	return unknown(16), true
}

// conntrack loads by linux/netfilter/nf_tables.h, enum nft_ct_keys.
func (p *Packet) conntrack(f Field) bits {
	src, dst := p.OriginalSrc, p.OriginalDst
	if f.Reply {
		src, dst = netip.AddrPort{}, netip.AddrPort{} // depends on the backend and on NAT
	}
	addr := func(a netip.AddrPort) bits {
		if !a.Addr().IsValid() {
			return unknown(16)
		}
		return known(a.Addr().AsSlice())
	}
	port := func(a netip.AddrPort) bits {
		b := unknown(2)
		putPort(b, 0, a.Port())
		return b
	}
	switch f.Key {
	case unix.NFT_CT_STATE:
		return number(p.State)
	case unix.NFT_CT_STATUS:
		return partly(p.Status, p.StatusKnown)
	case unix.NFT_CT_DIRECTION:
		if p.Reply {
			return known([]byte{1})
		}
		return known([]byte{0})
	case unix.NFT_CT_PROTOCOL:
		return known([]byte{p.Proto})
	case unix.NFT_CT_HELPER:
		return p.masterHelper()
	case unix.NFT_CT_SRC, unix.NFT_CT_SRC_IP, unix.NFT_CT_SRC_IP6:
		return addr(src)
	case unix.NFT_CT_DST, unix.NFT_CT_DST_IP, unix.NFT_CT_DST_IP6:
		return addr(dst)
	case unix.NFT_CT_PROTO_SRC:
		return port(src)
	case unix.NFT_CT_PROTO_DST:
		return port(dst)
	}
	return unknown(16)
}

// masterHelper is the name of the helper that announced the connection (net/netfilter/nft_ct.c, NFT_CT_HELPER). The kernel ends
// a rule that asks for it where there is none; no name is empty, so that is the same as an empty one for rules that ask for a name.
func (p *Packet) masterHelper() bits {
	if p.Expected && p.Helper == "" {
		return unknown(helperNameLen)
	}
	name := make([]byte, helperNameLen)
	if p.Expected {
		copy(name, p.Helper)
	}
	return known(name)
}

// helperNameLen is NF_CT_HELPER_NAME_LEN of linux/netfilter/nf_conntrack_common.h.
const helperNameLen = 16

// Flags and results of fib (enum nft_fib_flags, nft_fib_result), and route types of linux/rtnetlink.h.
const (
	fibSrc     = 1
	fibDst     = 2
	fibPresent = 32

	fibOIF      = 1
	fibAddrType = 3

	routeUnicast = 1
	routeLocal   = 2
)

// fib is what the routing table says. A packet's way back is taken to exist through the interface that it came from:
// doctor looks at routes by other means.
func (p *Packet) fib(f Field) bits {
	switch {
	case f.Result == fibAddrType && f.Key&fibDst != 0 && p.DstLocal:
		return number(routeLocal)
	case f.Result == fibAddrType && f.Key&fibDst != 0 && p.DstNotLocal:
		return number(routeUnicast)
	case f.Result == fibOIF && f.Key&fibSrc != 0 && f.Key&fibPresent != 0:
		return number(1)
	case f.Result == fibOIF && f.Key&fibSrc != 0 && p.In != nil && p.In.Index != 0:
		return number(uint32(p.In.Index))
	}
	return unknown(16)
}
