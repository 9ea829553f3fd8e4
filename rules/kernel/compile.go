package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// Registers, as nft numbers them: a 16-byte register 1 holds an IPv6 address, then the port goes to register 2.
// After a 4-byte address the port goes to the second 4-byte register.
const (
	reg1      = unix.NFT_REG_1
	reg2      = unix.NFT_REG_2
	reg32Next = unix.NFT_REG32_01
)

// payloadInner is what follows the transport header; google/nftables has no name for it.
const payloadInner expr.PayloadBase = unix.NFT_PAYLOAD_INNER_HEADER

// Bits of enum ip_conntrack_status: IPS_EXPECTED, IPS_SRC_NAT, IPS_DST_NAT. The libraries have no names for them.
const (
	ipsExpected = 1 << 0
	ipsSNAT     = 1 << 4
	ipsDNAT     = 1 << 5
)

// family holds what differs between the IP versions.
type family struct {
	nfproto      byte
	addrLen      uint32
	source, dest uint32 // offsets in the network header
	ctSource     expr.CtKey
	ctDest       expr.CtKey
	portRegister uint32
}

func familyOf(f configs.Family) family {
	if f == configs.IPv4 {
		return family{
			nfproto: unix.NFPROTO_IPV4, addrLen: 4, source: 12, dest: 16, ctSource: expr.CtKeySRCIP, ctDest: expr.CtKeyDSTIP,
			portRegister: reg32Next,
		}
	}
	return family{
		nfproto: unix.NFPROTO_IPV6, addrLen: 16, source: 8, dest: 24, ctSource: expr.CtKeySRCIP6, ctDest: expr.CtKeyDSTIP6,
		portRegister: reg2,
	}
}

// compile translates a rule to the kernel's expressions, the same ones that nft makes of its text.
func compile(r rules.Rule, native bool) ([]expr.Any, error) {
	var exprs []expr.Any
	for _, s := range r.Statements {
		e, err := statement(s, native)
		if err != nil {
			return nil, fmt.Errorf("translating %q: %w", s.Text(), err)
		}
		exprs = append(exprs, e...)
	}
	return exprs, nil
}

func statement(s rules.Statement, native bool) ([]expr.Any, error) {
	switch s := s.(type) {
	case rules.MatchFamily:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{familyOf(s.Family).nfproto}},
		}, nil
	case rules.MatchTCP:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: []byte{unix.IPPROTO_TCP}},
		}, nil
	case rules.MatchNew:
		return ctBit(expr.CtKeySTATE, expr.CtStateBitNEW), nil
	case rules.MatchTracked:
		return ctBit(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitNEW), nil
	case rules.MatchExpected:
		return ctBit(expr.CtKeySTATUS, ipsExpected), nil
	case rules.MatchSNATed:
		return ctBit(expr.CtKeySTATUS, ipsSNAT), nil
	case rules.MatchDNATed:
		return ctBit(expr.CtKeySTATUS, ipsDNAT), nil
	case rules.MatchSourcePort:
		return []expr.Any{
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binary.BigEndian.AppendUint16(nil, s.Port)},
		}, nil
	case rules.MatchInSet:
		return append(load(s.Key), &expr.Lookup{SourceRegister: reg1, SetName: s.Set}), nil
	case rules.MatchNotInSet:
		return append(load(s.Key), &expr.Lookup{SourceRegister: reg1, SetName: s.Set, Invert: true}), nil
	case rules.CountOver:
		return meter(s.Key, s.Set, unix.NFT_DYNSET_OP_ADD, &expr.Connlimit{Count: s.Max, Flags: expr.NFT_CONNLIMIT_F_INV}), nil
	case rules.RateOver:
		return meter(s.Key, s.Set, unix.NFT_DYNSET_OP_UPDATE, &expr.Limit{
			Type: expr.LimitTypePkts, Rate: s.PerSecond, Unit: expr.LimitTimeSecond, Burst: s.Burst, Over: true,
		}), nil
	case rules.MatchPayload:
		return []expr.Any{ // any first byte will do
			&expr.Payload{DestRegister: reg1, Base: payloadInner, Offset: 0, Len: 1},
			&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: []byte{255}},
		}, nil
	case rules.MatchTLSData:
		return []expr.Any{
			&expr.Payload{DestRegister: reg1, Base: payloadInner, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binary.BigEndian.AppendUint16(nil, rules.TLSData)},
		}, nil
	case rules.MatchFlags:
		return tcpFlags(s), nil
	case rules.MatchUntagged:
		return untagged(s), nil
	case rules.MatchOpaque:
		return label(rules.OpaqueLabel), nil
	case rules.MatchEnded:
		return label(rules.EndedLabel), nil
	case rules.MatchProvoking:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(rules.ProvokingPriority)},
		}, nil
	default:
		return action(s, native)
	}
}

func action(s rules.Statement, native bool) ([]expr.Any, error) {
	switch s := s.(type) {
	case rules.VerdictMap:
		return append(load(s.Key), &expr.Lookup{SourceRegister: reg1, SetName: s.Map, IsDestRegSet: true}), nil
	case rules.DNATSlot:
		f := familyOf(s.Family)
		return append(slotNumber(s),
			&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: s.Map},
			&expr.NAT{
				Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg1, RegAddrMax: reg1,
				RegProtoMin: f.portRegister, RegProtoMax: f.portRegister, Specified: true,
			}), nil
	case rules.DNATKnown:
		return known(s), nil
	case rules.Remember:
		return remember(s), nil
	case rules.DNATMap:
		return natMap(expr.NATTypeDestNAT, s.Key, s.Map, s.Port), nil
	case rules.SNATMap:
		return natMap(expr.NATTypeSourceNAT, s.Key, s.Map, false), nil
	case rules.Masquerade:
		return []expr.Any{&expr.Masq{}}, nil
	case rules.SetHelper:
		return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_CT_HELPER, Name: s.Object}}, nil
	case rules.SetOpaque:
		return []expr.Any{
			&expr.Immediate{Register: reg1, Data: labelBits(rules.OpaqueLabel)},
			&expr.Ct{Key: expr.CtKeyLABELS, Register: reg1, SourceRegister: true},
		}, nil
	case rules.Queue:
		return []expr.Any{queue(s, native)}, nil
	case rules.FlowAdd:
		return []expr.Any{&expr.FlowOffload{Name: s.Flowtable}}, nil
	case rules.Count:
		return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: s.Counter}}, nil
	case rules.RejectReset:
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}, nil
	case rules.NoTrack:
		return []expr.Any{&expr.Notrack{}}, nil
	case rules.Accept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}, nil
	case rules.Goto:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: s.Chain}}, nil
	}
	return nil, fmt.Errorf("no expression for statement %T: this is a bug, please report it", s)
}

// ctBit matches where one of these bits of a conntrack word is set.
func ctBit(key expr.CtKey, bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}
}

// tcpFlags matches segments by their flags, which lie at the 14th byte of the TCP header.
func tcpFlags(s rules.MatchFlags) []expr.Any {
	op := expr.CmpOpNeq
	if s.None {
		op = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{byte(s.Flags)}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: reg1, Data: []byte{0}},
	}
}

// label matches connections with a bit of the conntrack labels.
func label(bit int) []expr.Any {
	mask := labelBits(bit)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyLABELS, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask)),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, len(mask))},
	}
}

// labelBits are conntrack labels with one bit set: 128 bits in words of the host's order.
func labelBits(bit int) []byte {
	const size = 16
	bits := make([]byte, 0, size)
	for word := range size / 4 {
		var w uint32
		if bit/32 == word {
			w = 1 << (bit % 32)
		}
		bits = binary.NativeEndian.AppendUint32(bits, w)
	}
	return bits
}

// load brings a key into the registers from reg1 on.
func load(k rules.Key) []expr.Any {
	f := familyOf(k.Family)
	switch k.Selector {
	case rules.Destination:
		return []expr.Any{
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: f.dest, Len: f.addrLen},
			&expr.Payload{DestRegister: f.portRegister, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		}
	case rules.OriginalDestination:
		return []expr.Any{
			&expr.Ct{Key: f.ctDest, Register: reg1, Direction: 0, OptDirection: true},
			&expr.Ct{Key: expr.CtKeyPROTODST, Register: f.portRegister, Direction: 0, OptDirection: true},
		}
	case rules.OriginalSource:
		return []expr.Any{
			&expr.Ct{Key: f.ctSource, Register: reg1, Direction: 0, OptDirection: true},
			&expr.Ct{Key: expr.CtKeyPROTOSRC, Register: f.portRegister, Direction: 0, OptDirection: true},
		}
	case rules.SourcePort:
		return []expr.Any{
			f.loadSource(), &expr.Payload{DestRegister: f.portRegister, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		}
	case rules.ReplyAddress:
		return []expr.Any{&expr.Ct{Key: f.ctDest, Register: reg1, Direction: 1, OptDirection: true}}
	case rules.OriginalAddress:
		return []expr.Any{&expr.Ct{Key: f.ctDest, Register: reg1, Direction: 0, OptDirection: true}}
	case rules.Source:
		return []expr.Any{f.loadSource()}
	case rules.Client:
		if k.Family == configs.IPv4 {
			return []expr.Any{f.loadSource()}
		}
		mask := make([]byte, f.addrLen)
		copy(mask, bytes.Repeat([]byte{0xff}, clientBytes6))
		return []expr.Any{f.loadSource(), &expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: f.addrLen, Mask: mask, Xor: make([]byte, f.addrLen),
		}}
	case rules.TaggedDestination: // each part begins at the next 4 bytes
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg1},
			&expr.Payload{DestRegister: reg32Next, Base: expr.PayloadBaseNetworkHeader, Offset: f.dest, Len: f.addrLen},
			&expr.Payload{DestRegister: reg32Next + f.addrLen/4, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		}
	}
	return nil
}

// clientBytes6 is how much of an IPv6 address is the network that rules.Client means.
const clientBytes6 = 8

func (f family) loadSource() *expr.Payload {
	return &expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: f.source, Len: f.addrLen}
}

// meter adds the key to a dynamic set, or updates it there, and goes on where the element's own limit is exceeded.
func meter(k rules.Key, set string, operation uint32, limit expr.Any) []expr.Any {
	return append(load(k), &expr.Dynset{SrcRegKey: reg1, SetName: set, Operation: operation, Exprs: []expr.Any{limit}})
}

// slotNumber leaves a slot number in reg1, in the host's byte order.
func slotNumber(s rules.DNATSlot) []expr.Any {
	f := familyOf(s.Family)
	mod := uint32(s.Slots)
	switch s.Scheduler {
	case configs.RoundRobin:
		return []expr.Any{&expr.Numgen{Register: reg1, Modulus: mod, Type: unix.NFT_NG_INCREMENTAL}}
	case configs.Random:
		return []expr.Any{&expr.Numgen{Register: reg1, Modulus: mod, Type: unix.NFT_NG_RANDOM}}
	case configs.SourceHash:
	}
	return []expr.Any{
		&expr.Payload{DestRegister: reg2, Base: expr.PayloadBaseNetworkHeader, Offset: f.source, Len: f.addrLen},
		&expr.Hash{
			SourceRegister: reg2, DestRegister: reg1, Length: f.addrLen, Modulus: mod, Seed: rules.HashSeed,
			Type: expr.HashTypeJenkins,
		},
	}
}

func natMap(t expr.NATType, k rules.Key, set string, port bool) []expr.Any {
	f := familyOf(k.Family)
	nat := &expr.NAT{Type: t, Family: uint32(f.nfproto), RegAddrMin: reg1, RegAddrMax: reg1}
	if port {
		nat.RegProtoMin, nat.RegProtoMax, nat.Specified = f.portRegister, f.portRegister, true
	}
	return append(load(k), &expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: set}, nat)
}

// queue hands packets to userspace: by nft's own statement, or by the xtables target where the kernel was
// built without it: struct xt_NFQ_info_v3 of linux/netfilter/xt_NFQUEUE.h, for which google/nftables has no type.
func queue(q rules.Queue, native bool) expr.Any {
	total := q.Last - q.First + 1
	if native {
		e := &expr.Queue{Num: q.First, Total: total}
		if q.Bypass {
			e.Flag = expr.QueueFlagBypass
		}
		return e
	}
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], q.First)
	binary.NativeEndian.PutUint16(info[2:], total)
	if q.Bypass {
		binary.NativeEndian.PutUint16(info[4:], unix.NFT_QUEUE_FLAG_BYPASS)
	}
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

// canonical is a comparable form of a rule's expressions.
func canonical(exprs []expr.Any) (string, error) {
	var b []byte
	for _, e := range exprs {
		m, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return "", err
		}
		b = append(b, m...)
	}
	return string(b), nil
}
