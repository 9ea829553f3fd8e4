package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// From linux/netfilter/nfnetlink_queue.h.
const (
	queuePacket  = unix.NFNL_SUBSYS_QUEUE << 8 // with NFQNL_MSG_PACKET, 0
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	configCommand, commandBind = 1, 1 // NFQA_CFG_CMD, NFQNL_CFG_CMD_BIND
	configParams, copyPacket   = 2, 2 // NFQA_CFG_PARAMS, NFQNL_COPY_PACKET

	packetHeader  = 1 // NFQA_PACKET_HDR, begins with the packet's number
	verdictHeader = 2 // NFQA_VERDICT_HDR: verdict and number
	verdictAccept = 1 // NF_ACCEPT

	messageHeader = unix.SizeofNlMsghdr + 4 // with nfgenmsg: family, version, queue number
)

// accept is the least that a helper in userspace does: it receives each packet of a queue and accepts it, two system
// calls for each, and allocates nothing.
func accept(queue uint16, up func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", err)
	}
	bind := []byte{commandBind, 0, 0, 0}
	params := []byte{0, 0, 0xff, 0xff, copyPacket} // whole packets, as ftpvip gets them
	for _, m := range [][]byte{
		message(queueConfig, queue, configCommand, bind),
		message(queueConfig, queue, configParams, params),
	} {
		m[6] |= unix.NLM_F_ACK
		if err := request(fd, m); err != nil {
			return fmt.Errorf("binding to queue %d: %w", queue, err)
		}
	}
	up()
	verdict := message(queueVerdict, queue, verdictHeader, []byte{0, 0, 0, verdictAccept, 0, 0, 0, 0})
	number := verdict[len(verdict)-4:]
	b := make([]byte, 1<<17)
	for {
		n, _, err := unix.Recvfrom(fd, b, 0)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
			continue
		case err != nil:
			return fmt.Errorf("reading queue %d: %w", queue, err)
		}
		if !packetNumber(b[:n], number) {
			continue
		}
		if _, err := unix.Write(fd, verdict); err != nil {
			return fmt.Errorf("accepting a packet: %w", err)
		}
	}
}

// message makes a netlink message with one attribute.
func message(kind uint16, queue uint16, attribute uint16, value []byte) []byte {
	padded := (len(value) + 3) &^ 3
	m := make([]byte, messageHeader+4+padded)
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.BigEndian.PutUint16(m[messageHeader-2:], queue)
	binary.NativeEndian.PutUint16(m[messageHeader:], uint16(4+len(value)))
	binary.NativeEndian.PutUint16(m[messageHeader+2:], attribute)
	copy(m[messageHeader+4:], value)
	return m
}

// request sends a message and returns the kernel's answer.
func request(fd int, m []byte) error {
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	b := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR {
		return errors.New("unexpected answer")
	}
	if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// packetNumber copies the number of a queued packet; it is false where the message has none.
func packetNumber(m []byte, number []byte) bool {
	if len(m) < messageHeader || binary.NativeEndian.Uint16(m[4:]) != queuePacket {
		return false
	}
	for m = m[messageHeader:]; len(m) >= 4; {
		size := int(binary.NativeEndian.Uint16(m))
		if size < 4 || size > len(m) {
			return false
		}
		if binary.NativeEndian.Uint16(m[2:]) == packetHeader && size >= 8 {
			copy(number, m[4:8])
			return true
		}
		m = m[min((size+3)&^3, len(m)):]
	}
	return false
}
