package track

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// OpenEvents joins the groups of new and of forgotten connections.
func OpenEvents() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	filter, err := bpf.Assemble(eventFilter())
	if err == nil {
		// What does not fit into the buffer is lost; the sweep finds the sessions that have ended.
		err = errors.Join(conn.SetOption(netlink.NoENOBUFS, true), conn.SetReadBuffer(4<<20), conn.SetBPF(filter),
			conn.JoinGroup(uint32(netfilter.GroupCTNew)), conn.JoinGroup(uint32(netfilter.GroupCTDestroy)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the socket for conntrack's events: %w", err), conn.Close())
	}
	return conn, nil
}

// OpenExpectationEvents joins the group of expectations that are gone: used up by the first packet of their connection, timed out, or
// gone with their control connection. Of connections that the host drops there is no other word.
func OpenExpectationEvents() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	err = errors.Join(conn.SetOption(netlink.NoENOBUFS, true), conn.SetReadBuffer(1<<20), conn.JoinGroup(uint32(netfilter.GroupCTExpDestroy)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the socket for the events of expectations: %w", err), conn.Close())
	}
	return conn, nil
}

// Layout of a message (linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h).
const (
	offsetType  = 4  // of the message's type in struct nlmsghdr, in the machine's byte order
	offsetAttrs = 20 // behind struct nlmsghdr and struct nfgenmsg
	attrHeader  = 4

	msgConntrackNew    = 0 // IPCTNL_MSG_CT_NEW
	msgConntrackDelete = 2 // IPCTNL_MSG_CT_DELETE

	attrStatus      = 3  // CTA_STATUS
	attrTupleMaster = 14 // CTA_TUPLE_MASTER
)

// eventFilter lets pass what concerns us, for all connections of the host are in these groups: new connections that
// were expected (they name their master), and forgotten ones that were expected or carry a helper, as control
// connections do.
func eventFilter() []bpf.Instruction {
	kind := uint32(offsetType) // the low byte, which is the message within its subsystem
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		kind++
	}
	const ours = uint32(conntrack.StatusExpected | conntrack.StatusHelper)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: kind, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: msgConntrackDelete, SkipTrue: 5},
		bpf.LoadConstant{Dst: bpf.RegA, Val: offsetAttrs},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attrTupleMaster},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr}, // the attribute's offset, or 0
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 8},
		bpf.RetConstant{Val: 0},
		bpf.LoadConstant{Dst: bpf.RegA, Val: offsetAttrs},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attrStatus},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
		bpf.TAX{},
		bpf.LoadIndirect{Off: attrHeader, Size: 4}, // in network order, as the attribute is
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: ours, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	}
}
