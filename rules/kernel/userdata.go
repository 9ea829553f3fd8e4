package kernel

import (
	"encoding/binary"

	"github.com/google/nftables/userdata"

	"ftpvip/rules"
)

// nft keeps what it needs to print a set in the set's user data, which the kernel stores unread: a list of
// type, length and value (libnftnl/udata.h). google/nftables has the list and its numbers, and lacks what is in a `typeof`. `typeof` is stored as the expression's kind and its own data.
const (
	typeofExpr userdata.Type = 0 // NFTNL_UDATA_SET_TYPEOF_EXPR: a number of nft's enum expr_types
	typeofData userdata.Type = 1 // NFTNL_UDATA_SET_TYPEOF_DATA: what that kind needs

	exprPayload = 7
	exprConcat  = 13
	exprNumgen  = 23

	descTCP   = 8 // nft's enum proto_desc_id
	descIP    = 12
	descIPv6  = 13
	tcpDport  = 2 // field of the protocol's template
	ipDaddr   = 12
	ipv6Daddr = 9

	hostEndian = 1 // nft's enum byteorder
	bigEndian  = 2
)

func userData(s *rules.Set) []byte {
	if s.Slots == 0 {
		order := uint32(0)
		if s.Interval {
			order = bigEndian
		}
		return userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, order)
	}
	// typeof numgen inc mod SLOTS : ip daddr . tcp dport
	u := userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, hostEndian)
	u = userdata.AppendUint32(u, userdata.NFTNL_UDATA_SET_DATABYTEORDER, 0)
	numgen := word(nil, 0, 0)                 // NFTNL_UDATA_NUMGEN_TYPE: incremental
	numgen = word(numgen, 1, uint32(s.Slots)) // NFTNL_UDATA_NUMGEN_MOD
	numgen = word(numgen, 2, 0)               // NFTNL_UDATA_NUMGEN_OFFSET
	u = userdata.Append(u, userdata.NFTNL_UDATA_SET_KEY_TYPEOF, typeOf(exprNumgen, numgen))
	address := payload(descIP, ipDaddr)
	if s.Data[0] == rules.Addr6 {
		address = payload(descIPv6, ipv6Daddr)
	}
	parts := userdata.Append(nil, 0, address)
	parts = userdata.Append(parts, 1, payload(descTCP, tcpDport))
	u = userdata.Append(u, userdata.NFTNL_UDATA_SET_DATA_TYPEOF, typeOf(exprConcat, parts))
	return userdata.AppendUint32(u, userdata.NFTNL_UDATA_SET_DATA_INTERVAL, 0)
}

func typeOf(kind uint32, data []byte) []byte {
	return userdata.Append(word(nil, typeofExpr, kind), typeofData, data)
}

// payload is an expression that reads a protocol's field.
func payload(desc, field uint32) []byte {
	return typeOf(exprPayload, word(word(nil, 0, desc), 1, field))
}

// word appends a 32-bit value in the host's byte order.
func word(b []byte, kind userdata.Type, v uint32) []byte {
	return userdata.Append(b, kind, binary.NativeEndian.AppendUint32(nil, v))
}
