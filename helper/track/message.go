package track

import (
	"encoding/binary"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
	"ftpvip/rules/nfnl"
)

// What a conntrack entry is made of in linux/netfilter/nfnetlink_conntrack.h; attrStatus and attrTupleMaster are in
// events.go, what tuples are made of in expect.go.
const (
	msgConntrackGet = 1 // IPCTNL_MSG_CT_GET

	attrTupleOriginal = 1 // CTA_TUPLE_ORIG
	attrTupleReply    = 2
	attrID            = 12
	attrZone          = 18
	attrStatusMask    = 26

	attrTupleZone = 3 // CTA_TUPLE_ZONE
)

// readTuple reads an attribute of a tuple. It is not ok where an address or a port is missing.
func readTuple(b []byte) (src, dst netip.AddrPort, ok bool) {
	var from, to netip.Addr
	var ports [2]uint16
	var seen uint8
	for typ, data, rest, more := nfnl.NextAttr(b); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		switch typ {
		case attrTupleIP:
			from, to = readAddrs(data)
		case attrTupleProto:
			ports, seen = readPorts(data)
		}
	}
	return netip.AddrPortFrom(from, ports[0]), netip.AddrPortFrom(to, ports[1]), from.IsValid() && to.IsValid() && seen == 2
}

// tupleZone is the zone of a tuple, where its direction has one of its own.
func tupleZone(b []byte) uint16 {
	for typ, data, rest, more := nfnl.NextAttr(b); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		if typ == attrTupleZone && len(data) == 2 {
			return binary.BigEndian.Uint16(data)
		}
	}
	return 0
}

func readAddrs(b []byte) (src, dst netip.Addr) {
	for typ, data, rest, more := nfnl.NextAttr(b); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		a, ok := netip.AddrFromSlice(data)
		switch {
		case !ok:
		case typ == attrSource4 || typ == attrSource6:
			src = a
		case typ == attrDestination4 || typ == attrDestination6:
			dst = a
		}
	}
	return src, dst
}

func readPorts(b []byte) (ports [2]uint16, seen uint8) {
	for typ, data, rest, more := nfnl.NextAttr(b); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		if (typ == attrProtoSource || typ == attrProtoDestination) && len(data) == 2 {
			ports[typ-attrProtoSource] = binary.BigEndian.Uint16(data)
			seen++
		}
	}
	return ports, seen
}

// readControl reads an entry of conntrack's table, as far as it says which connection it is. It is not ok for an entry
// without ports, or without a helper.
func readControl(attrs []byte) (c Connection, ok bool) {
	var status uint32
	var original, reply bool
	for typ, data, rest, more := nfnl.NextAttr(attrs); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		switch {
		case typ == attrTupleOriginal:
			c.Client, c.VIP, original = readTuple(data)
			if id := tupleZone(data); id != 0 {
				c.ZoneID, c.ZoneOrig = id, true
			}
		case typ == attrZone && len(data) == 2:
			c.ZoneID = binary.BigEndian.Uint16(data)
		case typ == attrTupleReply:
			c.Backend, c.Seen, reply = readTuple(data)
		case typ == attrStatus && len(data) == 4:
			status = binary.BigEndian.Uint32(data)
		case typ == attrID && len(data) == 4:
			c.ID = binary.BigEndian.Uint32(data)
		}
	}
	return c, original && reply && conntrack.Status(status).Helper()
}

// appendControlDump appends the request to list the entries that carry a helper. A kernel that cannot select them (before
// 5.16) does not know the attributes, and lists all.
func appendControlDump(b []byte, seq uint32) []byte {
	b = nfnl.Append(b, nfnl.Header{
		Subsystem: unix.NFNL_SUBSYS_CTNETLINK, Type: msgConntrackGet, Flags: unix.NLM_F_DUMP, Seq: seq,
	})
	b = appendUint32(b, attrStatus, uint32(conntrack.StatusHelper))
	b = appendUint32(b, attrStatusMask, uint32(conntrack.StatusHelper))
	nfnl.Finish(b, 0)
	return b
}

// Entry is what conntrack knows of a control connection.
type Entry struct {
	Connection      // as if the client opened it
	Midstream  bool // conntrack did not see its beginning
	Carrier    bool // an expectation can hang on it
	Opaque     bool // it has rules.OpaqueLabel
}

// Turned is the connection of an entry that conntrack made of a packet from the server's side: the backend is its
// original source, and the VIP the source that a source group gave it.
func (c Connection) Turned() Connection {
	return Connection{ID: c.ID, ZoneID: c.ZoneID, ZoneOrig: c.ZoneOrig, Reversed: !c.Reversed, Endpoints: ftp.Endpoints{
		Client: c.Backend, VIP: c.Seen, Backend: c.Client, Seen: c.VIP,
	}}
}

// beLiberal is IP_CT_TCP_FLAG_BE_LIBERAL of linux/netfilter/nf_conntrack_tcp.h. The kernel sets it where it picks a
// connection up without its SYN (nf_conntrack_proto_tcp.c, tcp_new), conntrackd where it enters another host's.
const beLiberal = 0x08

func entryOf(f *conntrack.Flow) Entry {
	e := Entry{Connection: ConnectionOf(f), Carrier: f.Status.Helper(), Opaque: hasOpaqueLabel(f.Labels)}
	if tcp := f.ProtoInfo.TCP; tcp != nil {
		e.Midstream = tcp.OriginalFlags>>8&beLiberal != 0 // struct nf_ct_tcp_flags: flags, mask
	}
	return e
}
