package track

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/rules/nfnl"
)

// What an expectation is made of in linux/netfilter/nfnetlink_conntrack.h.
const (
	msgExpectNew    = 0 // IPCTNL_MSG_EXP_NEW
	msgExpectGet    = 1
	msgExpectDelete = 2

	attrExpectMaster   = 1 // CTA_EXPECT_MASTER
	attrExpectTuple    = 2
	attrExpectMask     = 3
	attrExpectTimeout  = 4
	attrExpectZone     = 7
	attrExpectNAT      = 10
	attrExpectFunction = 11

	attrNATDirection = 1 // CTA_EXPECT_NAT_DIR
	attrNATTuple     = 2

	attrTupleIP    = 1 // CTA_TUPLE_IP
	attrTupleProto = 2

	attrSource4      = 1 // CTA_IP_V4_SRC
	attrDestination4 = 2
	attrSource6      = 3
	attrDestination6 = 4

	attrProtoNumber      = 1 // CTA_PROTO_NUM
	attrProtoSource      = 2
	attrProtoDestination = 3
)

// expectLen has room for the message of the longest expectation.
const expectLen = 512

// expecter creates expectations. A packet waits for each, so it does without what ti-mo/conntrack's CreateExpect takes
// longest for: waking Go's poller, and memory. The bytes are the same.
type expecter struct {
	mu     sync.Mutex
	socket *nfnl.Socket
	seq    uint32
	out    [expectLen]byte
	in     [2 * expectLen]byte // an answer repeats the request
}

func openExpecter() (*expecter, error) {
	socket, err := nfnl.Open()
	if err != nil {
		return nil, err
	}
	// The kernel has answered before Send returns; to wait is only a precaution.
	if err := socket.Timeout(time.Second); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return &expecter{socket: socket}, nil
}

func (x *expecter) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.socket.Close()
}

// create creates an expectation. The error is the kernel's unix.Errno.
func (x *expecter) create(e *conntrack.Expect) error { return x.ask(appendExpect, e) }

// remove removes the expectation of e's tuple, whosever it is. The error is unix.ENOENT if there is none.
func (x *expecter) remove(e *conntrack.Expect) error { return x.ask(appendRemoval, e) }

// get finds the expectation of e's tuple, whosever it is. The error is unix.ENOENT if there is none. The kernel looks
// for one, however many there are.
func (x *expecter) get(e *conntrack.Expect) (announced, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, err := x.exchange(appendQuestion, e)
	if err != nil {
		return announced{}, err
	}
	return readExpect(m.Attrs), m.Err()
}

// ask sends a request about an expectation, and waits until it is carried out.
func (x *expecter) ask(request appender, e *conntrack.Expect) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, err := x.exchange(request, e)
	if err != nil {
		return err
	}
	return m.Err()
}

// appender appends a request about an expectation.
type appender func(b []byte, e *conntrack.Expect, seq uint32) []byte

// exchange sends a request and waits for its answer, which is valid until the next one.
func (x *expecter) exchange(request appender, e *conntrack.Expect) (nfnl.Message, error) {
	x.seq++
	if err := x.socket.Send(request(x.out[:0], e, x.seq), nil); err != nil {
		return nfnl.Message{}, err
	}
	for {
		n, err := x.socket.Receive(x.in[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nfnl.Message{}, fmt.Errorf("waiting for the kernel's answer: %w", os.NewSyscallError("read", err))
		}
		// An older answer is left over where the wait for it was given up.
		if m, _, ok := nfnl.Next(x.in[:n]); ok && m.Seq == x.seq {
			return m, nil
		}
	}
}

// announced is what tells one expectation from another of the same tuple: whose it is and where it leads.
type announced struct {
	from, vip netip.AddrPort // of the control connection, as conntrack has it
	at, to    netip.AddrPort // to is invalid without translation
	reply     bool           // the direction of the translation
}

func announcedBy(e *conntrack.Expect) announced {
	return announced{
		from: Source(e.TupleMaster), vip: Destination(e.TupleMaster), at: Destination(e.Tuple),
		to: Source(e.NAT.Tuple), reply: e.NAT.Direction,
	}
}

// readExpect reads an expectation out of the kernel's answer.
func readExpect(attrs []byte) (a announced) {
	for typ, data, rest, more := nfnl.NextAttr(attrs); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		switch typ {
		case attrExpectMaster:
			a.from, a.vip, _ = readTuple(data)
		case attrExpectTuple:
			_, a.at, _ = readTuple(data)
		case attrExpectNAT:
			a.to, a.reply = readNAT(data)
		}
	}
	return a
}

func readNAT(b []byte) (to netip.AddrPort, reply bool) {
	for typ, data, rest, more := nfnl.NextAttr(b); more; typ, data, rest, more = nfnl.NextAttr(rest) {
		switch {
		case typ == attrNATTuple:
			to, _, _ = readTuple(data)
		case typ == attrNATDirection && len(data) == 4:
			reply = binary.BigEndian.Uint32(data) != 0
		}
	}
	return to, reply
}

func expectHeader(typ uint8, flags uint16, e *conntrack.Expect, seq uint32) nfnl.Header {
	h := nfnl.Header{
		Subsystem: unix.NFNL_SUBSYS_CTNETLINK_EXP, Type: typ, Seq: seq, Family: unix.AF_INET, Flags: flags,
	}
	if e.TupleMaster.IP.SourceAddress.Is6() {
		h.Family = unix.AF_INET6
	}
	return h
}

// appendQuestion appends the request to get an expectation.
func appendQuestion(b []byte, e *conntrack.Expect, seq uint32) []byte {
	b = nfnl.Append(b, expectHeader(msgExpectGet, 0, e, seq)) // it is answered as it is
	b = appendTuple(b, attrExpectTuple, &e.Tuple)
	b = appendZone(b, e.Zone)
	nfnl.Finish(b, 0)
	return b
}

// appendRemoval appends the request to remove an expectation.
func appendRemoval(b []byte, e *conntrack.Expect, seq uint32) []byte {
	b = nfnl.Append(b, expectHeader(msgExpectDelete, unix.NLM_F_ACK, e, seq))
	b = appendTuple(b, attrExpectTuple, &e.Tuple)
	b = appendZone(b, e.Zone)
	nfnl.Finish(b, 0)
	return b
}

// appendExpect appends the request to create an expectation.
func appendExpect(b []byte, e *conntrack.Expect, seq uint32) []byte {
	b = nfnl.Append(b, expectHeader(msgExpectNew, unix.NLM_F_ACK|unix.NLM_F_EXCL|unix.NLM_F_CREATE, e, seq))
	b = appendTuple(b, attrExpectMaster, &e.TupleMaster)
	b = appendTuple(b, attrExpectTuple, &e.Tuple)
	b = appendTuple(b, attrExpectMask, &e.Mask)
	b = appendUint32(b, attrExpectTimeout, e.Timeout)
	b = appendZone(b, e.Zone)
	if e.Function != "" {
		b = nfnl.AppendAttrHeader(b, attrExpectFunction, len(e.Function))
		b = append(b, e.Function...)
		b = nfnl.AppendPadding(b, len(e.Function))
		b = appendNAT(b, &e.NAT)
	}
	nfnl.Finish(b, 0)
	return b
}

// appendZone appends the zone of the control connection, if it is not the usual one.
func appendZone(b []byte, zone uint16) []byte {
	if zone == 0 {
		return b
	}
	b = nfnl.AppendAttrHeader(b, attrExpectZone, 2)
	b = binary.BigEndian.AppendUint16(b, zone)
	return nfnl.AppendPadding(b, 2)
}

func appendNAT(b []byte, n *conntrack.ExpectNAT) []byte {
	start := len(b)
	b = nfnl.Nest(b, attrExpectNAT)
	direction := uint32(0)
	if n.Direction {
		direction = 1
	}
	b = appendUint32(b, attrNATDirection, direction)
	b = appendTuple(b, attrNATTuple, &n.Tuple)
	nfnl.Close(b, start)
	return b
}

func appendTuple(b []byte, typ uint16, t *conntrack.Tuple) []byte {
	start := len(b)
	b = nfnl.Nest(b, typ)
	ip := len(b)
	b = nfnl.Nest(b, attrTupleIP)
	if src, dst := t.IP.SourceAddress, t.IP.DestinationAddress; src.Is4() {
		b = appendAddr(appendAddr(b, attrSource4, src), attrDestination4, dst)
	} else {
		b = appendAddr(appendAddr(b, attrSource6, src), attrDestination6, dst)
	}
	nfnl.Close(b, ip)
	proto := len(b)
	b = nfnl.Nest(b, attrTupleProto)
	b = nfnl.AppendAttr(b, attrProtoNumber, t.Proto.Protocol)
	b = appendPort(b, attrProtoSource, t.Proto.SourcePort)
	b = appendPort(b, attrProtoDestination, t.Proto.DestinationPort)
	nfnl.Close(b, proto)
	nfnl.Close(b, start)
	return b
}

func appendAddr(b []byte, typ uint16, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return nfnl.AppendAttr(b, typ, v[:]...)
	}
	v := a.As16()
	return nfnl.AppendAttr(b, typ, v[:]...)
}

func appendPort(b []byte, typ, port uint16) []byte {
	return nfnl.AppendAttr(b, typ, byte(port>>8), byte(port))
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(nfnl.AppendAttrHeader(b, typ, 4), v)
}
