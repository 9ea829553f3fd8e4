package kernel

import (
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// untagged compares the common half of a socket's tag.
func untagged(s rules.MatchUntagged) []expr.Any {
	mask, tag := s.TagMask()
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: binaryutil.NativeEndian.PutUint32(tag)},
	}
}

// known looks the client up in both maps: its backend's address goes to reg1, the port to reg2.
func known(s rules.DNATKnown) []expr.Any {
	f := familyOf(s.Family)
	return []expr.Any{
		source(f, reg1),
		&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: s.Clients},
		source(f, reg2),
		&expr.Lookup{SourceRegister: reg2, DestRegister: reg2, IsDestRegSet: true, SetName: s.Ports},
		&expr.NAT{
			Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg1, RegAddrMax: reg1,
			RegProtoMin: reg2, RegProtoMax: reg2, Specified: true,
		},
	}
}

// remember has the kernel write a map's element: the client is its key, and where the packet goes its data.
func remember(s rules.Remember) []expr.Any {
	f := familyOf(s.Family)
	where := &expr.Payload{DestRegister: reg2, Base: expr.PayloadBaseNetworkHeader, Offset: f.dest, Len: f.addrLen}
	if s.Port {
		where = &expr.Payload{DestRegister: reg2, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	}
	return []expr.Any{
		source(f, reg1), where,
		&expr.Dynset{SrcRegKey: reg1, SrcRegData: reg2, SetName: s.Map, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}
}

// source loads the client's address.
func source(f family, register uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.source, Len: f.addrLen}
}
