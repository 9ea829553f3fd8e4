package kernel

import (
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// datatypes are nft's numbers of its types (enum datatypes of nft's datatype.h), and their lengths.
var datatypes = map[rules.Type]struct{ id, size uint32 }{
	rules.Slot:    {4, 4},
	rules.Addr4:   {7, 4},
	rules.Addr6:   {8, 16},
	rules.Service: {13, 2},
	rules.Tag:     {23, 4},
}

// attributes of a set, as the kernel is told and as it tells.
type attributes struct {
	flags             uint32
	keyType, keyLen   uint32
	dataType, dataLen uint32
	size              uint32 // how many elements there may be; 0: any number
	timeout           time.Duration
}

func attributesOf(s *rules.Set) attributes {
	a := attributes{}
	a.keyType, a.keyLen = typeAndLength(s.Key)
	if s.Interval {
		a.flags |= unix.NFT_SET_INTERVAL
		if len(s.Key) > 1 {
			a.flags |= nftables.NFT_SET_CONCAT // a range within a concatenation: the pipapo set
		}
	}
	if s.Dynamic != nil {
		a.flags |= unix.NFT_SET_EVAL
		a.size, a.timeout = uint32(s.Dynamic.Size), s.Dynamic.Timeout
		if a.timeout > 0 {
			a.flags |= unix.NFT_SET_TIMEOUT
		}
	}
	if s.Slots > 0 {
		a.size = uint32(s.Slots)
	}
	if s.IsMap() {
		a.flags |= unix.NFT_SET_MAP
		if isVerdict(s) {
			a.dataType = unix.NFT_DATA_VERDICT
		} else {
			a.dataType, a.dataLen = typeAndLength(s.Data)
		}
	}
	return a
}

// isMeter reports whether a set holds what limits count: nobody asks for its elements.
func isMeter(s *rules.Set) bool { return s.Dynamic != nil && !s.IsMap() }

func isVerdict(s *rules.Set) bool { return slices.Equal(s.Data, []rules.Type{rules.Verdict}) }

// typeAndLength of a concatenation; each part of it is padded to 4 bytes.
func typeAndLength(types []rules.Type) (id, length uint32) {
	for _, t := range types {
		id = id<<nftables.SetConcatTypeBits | datatypes[t].id
		length += (datatypes[t].size + 3) / 4 * 4
	}
	if len(types) == 1 {
		length = datatypes[types[0]].size
	}
	return id, length
}

func (b *batch) set(s *rules.Set) error {
	b.sets++
	a := attributesOf(s)
	return b.add(unix.NFT_MSG_NEWSET, netlink.Create, "set "+s.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_SET_TABLE, b.table)
		ae.String(unix.NFTA_SET_NAME, s.Name)
		ae.Uint32(unix.NFTA_SET_ID, b.sets)
		ae.Uint32(unix.NFTA_SET_FLAGS, a.flags)
		ae.Uint32(unix.NFTA_SET_KEY_TYPE, a.keyType)
		ae.Uint32(unix.NFTA_SET_KEY_LEN, a.keyLen)
		if s.IsMap() {
			ae.Uint32(unix.NFTA_SET_DATA_TYPE, a.dataType)
			ae.Uint32(unix.NFTA_SET_DATA_LEN, a.dataLen)
		}
		if a.timeout > 0 {
			ae.Uint64(unix.NFTA_SET_TIMEOUT, uint64(a.timeout.Milliseconds()))
		}
		if a.size > 0 || a.flags&nftables.NFT_SET_CONCAT != 0 {
			nested(ae, unix.NFTA_SET_DESC, func(ae *netlink.AttributeEncoder) { describeSet(ae, s, a.size) })
		}
		ae.Bytes(unix.NFTA_SET_USERDATA, userData(s))
	})
}

// describeSet tells the size of a slot table, so that the kernel takes a hash table that never has to grow, and of a
// dynamic set, or the lengths of a concatenation's parts.
func describeSet(ae *netlink.AttributeEncoder, s *rules.Set, size uint32) {
	if size > 0 {
		ae.Uint32(unix.NFTA_SET_DESC_SIZE, size)
		return
	}
	nested(ae, nftables.NFTA_SET_DESC_CONCAT, func(ae *netlink.AttributeEncoder) {
		for _, t := range s.Key {
			nested(ae, unix.NFTA_LIST_ELEM, func(ae *netlink.AttributeEncoder) {
				ae.Uint32(setFieldLen, datatypes[t].size)
			})
		}
	})
}

// setFieldLen is NFTA_SET_FIELD_LEN, which google/nftables and x/sys lack.
const setFieldLen = 1

func (b *batch) deleteSet(s *rules.Set) error {
	return b.add(unix.NFT_MSG_DELSET, 0, "set "+s.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_SET_TABLE, b.table)
		ae.String(unix.NFTA_SET_NAME, s.Name)
	})
}
