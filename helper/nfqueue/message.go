package nfqueue

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"ftpvip/rules/nfnl"
)

// Messages and attributes of linux/netfilter/nfnetlink_queue.h.
const (
	msgPacket  = 0 // NFQNL_MSG_PACKET
	msgVerdict = 1
	msgConfig  = 2

	attrPacketHeader  = 1 // NFQA_PACKET_HDR
	attrVerdictHeader = 2
	attrPayload       = 10

	attrCommand   = 1 // NFQA_CFG_CMD
	attrParams    = 2
	attrMaxLength = 3

	commandBind   = 1 // NFQNL_CFG_CMD_BIND
	commandUnbind = 2
	commandNone   = 3 // NFQNL_CFG_CMD_PF_BIND: without effect since Linux 3.8

	copyPacket = 2 // NFQNL_COPY_PACKET
	copyRange  = 0xffff
)

// Verdicts of linux/netfilter.h.
const (
	nfDrop   = 0
	nfAccept = 1
)

// Sizes of messages.
const (
	packetHeaderLen = 7 // struct nfqnl_msg_packet_hdr
	verdictLen      = unix.NLMSG_HDRLEN + 4 + unix.NLA_HDRLEN + 8
	replaceLen      = verdictLen + unix.NLA_HDRLEN
	configLen       = 64
)

// errMalformed is about a message that the kernel does not send.
var errMalformed = errors.New("malformed message")

// packetType is the type of the message that brings a packet.
const packetType = unix.NFNL_SUBSYS_QUEUE<<8 | msgPacket

// readPacket finds what is wanted of a queued packet in its attributes. The kernel writes the header first, so that an
// id is known (hasID) even where err says that something after it is malformed. The payload is nil if it is missing.
func readPacket(attrs []byte) (id uint32, hasID bool, payload []byte, err error) {
	for len(attrs) > 0 {
		typ, data, rest, ok := nfnl.NextAttr(attrs)
		if !ok {
			return id, hasID, nil, errMalformed
		}
		switch typ {
		case attrPacketHeader:
			if len(data) < packetHeaderLen {
				return id, hasID, nil, errMalformed
			}
			id, hasID = binary.BigEndian.Uint32(data), true
		case attrPayload:
			payload = data
		}
		attrs = rest
	}
	if !hasID {
		err = errMalformed
	}
	return id, hasID, payload, err
}

// appendVerdict appends a verdict without its end.
func appendVerdict(b []byte, queue uint16, id, verdict uint32) []byte {
	b = nfnl.Append(b, nfnl.Header{Subsystem: unix.NFNL_SUBSYS_QUEUE, Type: msgVerdict, Resource: queue})
	b = nfnl.AppendAttrHeader(b, attrVerdictHeader, 8) // struct nfqnl_msg_verdict_hdr
	b = binary.BigEndian.AppendUint32(b, verdict)
	return binary.BigEndian.AppendUint32(b, id)
}

// appendBind appends what takes a queue, all in one message: the kernel would hand out packets between two.
// Without NFQA_CFG_F_GSO packets come segmented and with whole checksums; without NFQA_CFG_F_FAIL_OPEN a full queue
// drops what came too many.
func appendBind(b []byte, queue uint16, maxQueued, seq uint32) []byte {
	b = appendCommand(b, queue, commandBind, seq)
	b = nfnl.AppendAttr(b, attrParams, 0, 0, copyRange>>8, copyRange&0xff, copyPacket)
	b = nfnl.AppendAttrHeader(b, attrMaxLength, 4)
	b = binary.BigEndian.AppendUint32(b, maxQueued)
	nfnl.Finish(b, 0)
	return b
}

// appendUnbind appends what gives a queue back. The kernel drops the packets that have no verdict.
func appendUnbind(b []byte, queue uint16, seq uint32) []byte {
	b = appendCommand(b, queue, commandUnbind, seq)
	nfnl.Finish(b, 0)
	return b
}

// appendNothing appends a request that changes nothing and that the kernel answers only to who may use queues.
func appendNothing(b []byte, queue uint16, seq uint32) []byte {
	b = appendCommand(b, queue, commandNone, seq)
	nfnl.Finish(b, 0)
	return b
}

func appendCommand(b []byte, queue uint16, command byte, seq uint32) []byte {
	b = nfnl.Append(b, nfnl.Header{
		Subsystem: unix.NFNL_SUBSYS_QUEUE, Type: msgConfig, Flags: unix.NLM_F_ACK, Seq: seq, Resource: queue,
	})
	return nfnl.AppendAttr(b, attrCommand, command, 0, 0, 0) // struct nfqnl_msg_config_cmd
}
