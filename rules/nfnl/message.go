// Package nfnl speaks nfnetlink (linux/netfilter/nfnetlink.h) without allocating: messages are appended to buffers
// that the caller owns and read where they were received. It is for what happens once for each packet; everything else
// is better served by github.com/mdlayher/netlink.
package nfnl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Sizes of the headers (linux/netlink.h, linux/netfilter/nfnetlink.h).
const (
	headerLen = unix.NLMSG_HDRLEN + 4 // nlmsghdr and nfgenmsg
	attrLen   = unix.NLA_HDRLEN
)

// typeMask takes the flags for nesting and byte order off an attribute's type (linux/netlink.h, NLA_TYPE_MASK).
const typeMask = 1<<14 - 1

// native is the byte order of the headers; what attributes hold is in network order.
var native = binary.NativeEndian

// Header begins a message.
type Header struct {
	Subsystem, Type uint8
	Flags           uint16 // unix.NLM_F_*; NLM_F_REQUEST is added
	Seq             uint32 // the answer has the same
	Family          uint8
	Resource        uint16 // e.g. the number of a queue
}

// Append begins a message at the end of b, which must be empty: there is one message in a buffer. Finish ends it.
func Append(b []byte, h Header) []byte {
	b = append(b, 0, 0, 0, 0)
	b = native.AppendUint16(b, uint16(h.Subsystem)<<8|uint16(h.Type))
	b = native.AppendUint16(b, h.Flags|unix.NLM_F_REQUEST)
	b = native.AppendUint32(b, h.Seq)
	b = append(b, 0, 0, 0, 0, h.Family, unix.NFNETLINK_V0)
	return binary.BigEndian.AppendUint16(b, h.Resource)
}

// Finish writes the length of the message of which b is the beginning, and more bytes follow elsewhere.
func Finish(b []byte, more int) { native.PutUint32(b, uint32(len(b)+more)) }

// AppendAttr appends a whole attribute and its padding.
func AppendAttr(b []byte, typ uint16, data ...byte) []byte {
	b = AppendAttrHeader(b, typ, len(data))
	return AppendPadding(append(b, data...), len(data))
}

// AppendAttrHeader appends the header of an attribute of n bytes, which follow elsewhere, with Padding.
func AppendAttrHeader(b []byte, typ uint16, n int) []byte {
	return native.AppendUint16(native.AppendUint16(b, uint16(attrLen+n)), typ)
}

// Nest begins an attribute that holds attributes; Close ends it, given the length of b before.
func Nest(b []byte, typ uint16) []byte { return AppendAttrHeader(b, typ|unix.NLA_F_NESTED, 0) }

// Close ends the nested attribute that begins at start.
func Close(b []byte, start int) { native.PutUint16(b[start:], uint16(len(b)-start)) }

var zeros [unix.NLA_ALIGNTO]byte

// AppendPadding ends an attribute of n bytes.
func AppendPadding(b []byte, n int) []byte { return append(b, zeros[:Padding(n)]...) }

// Padding is how many bytes follow an attribute of n bytes.
func Padding(n int) int { return -n & (unix.NLA_ALIGNTO - 1) }

// Message is a received message. Its bytes belong to the buffer it was read from.
type Message struct {
	Type  uint16 // subsystem<<8 | type, or a type of netlink's own, such as unix.NLMSG_ERROR
	Seq   uint32
	Attrs []byte // what follows the headers
	errno unix.Errno
}

// Next reads the first message of b and returns what follows it. Of a message that was cut off, there is what came.
// It is not ok where not even the header is there.
func Next(b []byte) (m Message, rest []byte, ok bool) {
	if len(b) < unix.NLMSG_HDRLEN {
		return Message{}, nil, false
	}
	n := int(min(uint64(native.Uint32(b)), uint64(len(b))))
	if n < unix.NLMSG_HDRLEN {
		return Message{}, nil, false
	}
	m = Message{Type: native.Uint16(b[4:]), Seq: native.Uint32(b[8:])}
	body := b[unix.NLMSG_HDRLEN:n]
	switch {
	case m.Type == unix.NLMSG_ERROR && len(body) >= 4: // struct nlmsgerr
		m.errno = unix.Errno(-int32(native.Uint32(body)))
	case len(body) >= headerLen-unix.NLMSG_HDRLEN:
		m.Attrs = body[headerLen-unix.NLMSG_HDRLEN:]
	}
	return m, b[min(n+Padding(n), len(b)):], true
}

// Err is the error that the message reports, nil where it is an acknowledgement or no NLMSG_ERROR at all.
func (m *Message) Err() error {
	if m.errno == 0 {
		return nil
	}
	return m.errno
}

// NextAttr reads the first attribute of b and returns what follows it. It is not ok where there is no whole one.
func NextAttr(b []byte) (typ uint16, data, rest []byte, ok bool) {
	if len(b) < attrLen {
		return 0, nil, nil, false
	}
	n := int(native.Uint16(b))
	if n < attrLen || n > len(b) {
		return 0, nil, nil, false
	}
	return native.Uint16(b[2:]) & typeMask, b[attrLen:n], b[min(n+Padding(n), len(b)):], true
}
