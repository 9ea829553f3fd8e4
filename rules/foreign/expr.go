package foreign

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules/walk"
)

// nfAccept and nfDrop are verdicts of linux/netfilter.h, which x/sys lacks.
const (
	nfDrop   = 0
	nfAccept = 1
)

// decodeExprs decodes NFTA_RULE_EXPRESSIONS; google/nftables leaves out the expressions that it does not know. What it does not know becomes walk.Unknown; bytes that are no attributes
// become one unknown expression.
func decodeExprs(data []byte) []walk.Expr {
	var list []walk.Expr
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return []walk.Expr{walk.Unknown{Name: "a rule that cannot be decoded", Reg: -1}}
	}
	for ad.Next() {
		name := ""
		var body attrs
		for kind, b := range fieldsOf(ad.Bytes()) {
			switch kind {
			case unix.NFTA_EXPR_NAME:
				name = string(bytes.TrimRight(b, "\x00"))
			case unix.NFTA_EXPR_DATA:
				body = fieldsOf(b)
			}
		}
		list = append(list, decodeExpr(name, body))
	}
	if ad.Err() != nil {
		list = append(list, walk.Unknown{Name: "a rule that cannot be decoded", Reg: -1})
	}
	return list
}

// attrs is the attributes of one message by type.
type attrs map[uint16][]byte

func fieldsOf(data []byte) attrs {
	a := attrs{}
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return a
	}
	for ad.Next() {
		a[ad.Type()] = ad.Bytes()
	}
	return a
}

func (a attrs) has(kind uint16) bool { _, ok := a[kind]; return ok }

func (a attrs) u32(kind uint16) uint32 {
	if b := a[kind]; len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// value is the bytes of a nested NFTA_DATA_VALUE.
func (a attrs) value(kind uint16) []byte { return fieldsOf(a[kind])[unix.NFTA_DATA_VALUE] }

// reg turns a register's number into its offset: 1 to 4 are 16 bytes each, from 8 on they are 4.
func (a attrs) reg(kind uint16) int {
	n := int(a.u32(kind))
	switch {
	case n >= unix.NFT_REG_1 && n <= unix.NFT_REG_4:
		return (n - unix.NFT_REG_1) * 16
	case n >= unix.NFT_REG32_00 && n <= unix.NFT_REG32_15:
		return (n - unix.NFT_REG32_00) * 4
	}
	return -1
}

// bitwiseOp is NFTA_BITWISE_OP, which x/sys lacks: 0 for mask and xor.
const bitwiseOp = 6

// decodeExpr decodes one expression.
func decodeExpr(name string, a attrs) walk.Expr {
	switch name {
	case "meta":
		if !a.has(unix.NFTA_META_DREG) {
			return walk.Nothing{}
		}
		key := a.u32(unix.NFTA_META_KEY)
		return walk.Load{Reg: a.reg(unix.NFTA_META_DREG), From: walk.Field{Kind: walk.Meta, Key: key, Name: metaName(key)}}
	case "ct":
		if !a.has(unix.NFTA_CT_DREG) {
			return walk.Nothing{}
		}
		f := walk.Field{Kind: walk.CT, Key: a.u32(unix.NFTA_CT_KEY), HasDir: a.has(unix.NFTA_CT_DIRECTION)}
		f.Reply = len(a[unix.NFTA_CT_DIRECTION]) > 0 && a[unix.NFTA_CT_DIRECTION][0] == 1
		f.Name = ctName(f.Key)
		return walk.Load{Reg: a.reg(unix.NFTA_CT_DREG), From: f}
	case "payload":
		return decodePayload(a)
	case "fib":
		return walk.Load{Reg: a.reg(unix.NFTA_FIB_DREG), From: walk.Field{
			Kind: walk.FIB, Key: a.u32(unix.NFTA_FIB_FLAGS), Result: a.u32(unix.NFTA_FIB_RESULT), Name: "a look-up of routes (fib)",
		}}
	case "cmp":
		return walk.Cmp{Reg: a.reg(unix.NFTA_CMP_SREG), Op: walk.CmpOp(a.u32(unix.NFTA_CMP_OP)), Data: a.value(unix.NFTA_CMP_DATA)}
	case "range":
		return walk.Range{
			Reg: a.reg(unix.NFTA_RANGE_SREG), Not: a.u32(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ,
			From: a.value(unix.NFTA_RANGE_FROM_DATA), To: a.value(unix.NFTA_RANGE_TO_DATA),
		}
	case "bitwise":
		if a.u32(bitwiseOp) != 0 {
			return walk.Unknown{Name: "shifted bits", Reg: a.reg(unix.NFTA_BITWISE_DREG)}
		}
		return walk.Bitwise{Src: a.reg(unix.NFTA_BITWISE_SREG), Dst: a.reg(unix.NFTA_BITWISE_DREG), Mask: a.value(unix.NFTA_BITWISE_MASK), Xor: a.value(unix.NFTA_BITWISE_XOR)}
	case "byteorder":
		return walk.Byteorder{
			Src: a.reg(unix.NFTA_BYTEORDER_SREG), Dst: a.reg(unix.NFTA_BYTEORDER_DREG),
			Len: int(min(a.u32(unix.NFTA_BYTEORDER_LEN), 64)), Size: int(min(a.u32(unix.NFTA_BYTEORDER_SIZE), 8)),
		}
	case "lookup":
		return walk.Lookup{
			Reg: a.reg(unix.NFTA_LOOKUP_SREG), Set: string(bytes.TrimRight(a[unix.NFTA_LOOKUP_SET], "\x00")),
			Not:    a.u32(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0,
			HasDst: a.has(unix.NFTA_LOOKUP_DREG), Dst: a.reg(unix.NFTA_LOOKUP_DREG),
			Verdict: a.has(unix.NFTA_LOOKUP_DREG) && a.u32(unix.NFTA_LOOKUP_DREG) == unix.NFT_REG_VERDICT,
		}
	}
	return decodeAction(name, a)
}

// decodeAction decodes what does something and does not only look.
func decodeAction(name string, a attrs) walk.Expr {
	switch name {
	case "immediate":
		if a.u32(unix.NFTA_IMMEDIATE_DREG) == unix.NFT_REG_VERDICT {
			return decodeVerdict(fieldsOf(a[unix.NFTA_IMMEDIATE_DATA])[unix.NFTA_DATA_VERDICT])
		}
		return walk.Immediate{Reg: a.reg(unix.NFTA_IMMEDIATE_DREG), Data: a.value(unix.NFTA_IMMEDIATE_DATA)}
	case "match":
		return walk.XTMatch{
			Name: string(bytes.TrimRight(a[unix.NFTA_MATCH_NAME], "\x00")), Rev: a.u32(unix.NFTA_MATCH_REV), Info: a[unix.NFTA_MATCH_INFO],
		}
	case "target":
		return walk.XTTarget{
			Name: string(bytes.TrimRight(a[unix.NFTA_TARGET_NAME], "\x00")), Rev: a.u32(unix.NFTA_TARGET_REV), Info: a[unix.NFTA_TARGET_INFO],
		}
	case "reject":
		return walk.Verdict{Kind: walk.Drop}
	case "queue":
		return walk.Verdict{Kind: walk.Queue}
	case "nat":
		return walk.NAT{Source: a.u32(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_SNAT}
	case "masq":
		return walk.NAT{Source: true}
	case "redir":
		return walk.NAT{}
	case "notrack":
		return walk.NoTrack{}
	case "objref":
		return decodeObject(a)
	case "dynset":
		if a.has(unix.NFTA_DYNSET_EXPR) || a.has(expr.NFTA_DYNSET_EXPRESSIONS) {
			return walk.Unknown{Name: "a meter", Reg: -1}
		}
		return walk.Nothing{}
	case "counter", "log", "last", "dup", "flow_offload":
		return walk.Nothing{}
	case "exthdr", "rt", "socket", "osf", "numgen", "hash", "xfrm", "tunnel":
		if a.has(dregOf[name]) {
			return walk.Unknown{Name: name, Reg: a.reg(dregOf[name])}
		}
		if name == "exthdr" {
			return walk.Nothing{} // it writes, as for MSS clamping
		}
	}
	return walk.Unknown{Name: name, Reg: -1}
}

// dregOf is the attribute of the destination register.
var dregOf = map[string]uint16{"exthdr": 1, "rt": 1, "socket": 2, "osf": 1, "numgen": 1, "hash": 2, "xfrm": 1, "tunnel": 2}

// decodeObject decodes a reference to a named object.
func decodeObject(a attrs) walk.Expr {
	switch {
	case !a.has(unix.NFTA_OBJREF_IMM_NAME):
		return walk.Nothing{} // by a map, of counters as a rule; limits and quotas by map are rare
	case a.u32(unix.NFTA_OBJREF_IMM_TYPE) == unix.NFT_OBJECT_CT_HELPER:
		return walk.SetHelper{Object: string(bytes.TrimRight(a[unix.NFTA_OBJREF_IMM_NAME], "\x00"))}
	case a.u32(unix.NFTA_OBJREF_IMM_TYPE) == unix.NFT_OBJECT_COUNTER:
		return walk.Nothing{}
	}
	return walk.Unknown{Name: "the object " + string(bytes.TrimRight(a[unix.NFTA_OBJREF_IMM_NAME], "\x00")), Reg: -1}
}

func decodePayload(a attrs) walk.Expr {
	if !a.has(unix.NFTA_PAYLOAD_DREG) {
		return walk.Nothing{} // it writes
	}
	offset := a.u32(unix.NFTA_PAYLOAD_OFFSET)
	f := walk.Field{Key: offset, Len: int(min(a.u32(unix.NFTA_PAYLOAD_LEN), 64)), Name: "bytes of the packet"}
	switch a.u32(unix.NFTA_PAYLOAD_BASE) {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		f.Kind = walk.Network
		switch offset {
		case 12, 8:
			f.Name = "the source address"
		case 16, 24:
			f.Name = "the destination address"
		}
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		f.Kind = walk.Transport
		switch offset {
		case 0:
			f.Name = "the source port"
		case 2:
			f.Name = "the destination port"
		}
	default:
		f.Kind = walk.Elsewhere
	}
	return walk.Load{Reg: a.reg(unix.NFTA_PAYLOAD_DREG), From: f}
}

// decodeVerdict reads a nested NFTA_VERDICT_CODE and its chain.
func decodeVerdict(data []byte) walk.Verdict {
	a := fieldsOf(data)
	v := walk.Verdict{Chain: string(bytes.TrimRight(a[unix.NFTA_VERDICT_CHAIN], "\x00"))}
	switch int32(a.u32(unix.NFTA_VERDICT_CODE)) {
	case unix.NFT_CONTINUE, unix.NFT_BREAK:
		v.Kind = walk.Continue
	case unix.NFT_JUMP:
		v.Kind = walk.Jump
	case unix.NFT_GOTO:
		v.Kind = walk.Goto
	case unix.NFT_RETURN:
		v.Kind = walk.Return
	case nfAccept:
		v.Kind = walk.Accept
	case nfDrop:
		v.Kind = walk.Drop
	default:
		v.Kind = walk.Queue
	}
	if !a.has(unix.NFTA_VERDICT_CODE) {
		v.Kind = walk.Continue
	}
	return v
}

var metaNames = map[uint32]string{
	unix.NFT_META_MARK: "the packet's mark", unix.NFT_META_IIF: "the incoming interface", unix.NFT_META_OIF: "the outgoing interface",
	unix.NFT_META_IIFNAME: "the incoming interface", unix.NFT_META_OIFNAME: "the outgoing interface",
	unix.NFT_META_IIFGROUP: "the incoming interface's group", unix.NFT_META_OIFGROUP: "the outgoing interface's group",
}

func metaName(key uint32) string {
	if s, ok := metaNames[key]; ok {
		return s
	}
	return fmt.Sprintf("meta key %d", key)
}

var ctNames = map[uint32]string{
	unix.NFT_CT_STATUS: "the connection's status", unix.NFT_CT_MARK: "the connection's mark", unix.NFT_CT_HELPER: "the connection's helper",
	unix.NFT_CT_ZONE: "the connection's zone", unix.NFT_CT_LABELS: "the connection's labels",
	unix.NFT_CT_SRC: "the connection's addresses", unix.NFT_CT_DST: "the connection's addresses",
}

func ctName(key uint32) string {
	if s, ok := ctNames[key]; ok {
		return s
	}
	return fmt.Sprintf("ct key %d", key)
}
