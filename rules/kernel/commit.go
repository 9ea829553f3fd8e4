package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// Commit carries a plan out, in one transaction: it happens whole or not at all. It returns ErrChanged where
// anybody changed the kernel's rules since Read.
func (k *Kernel) Commit(p *rules.Plan) error {
	if p.Empty() {
		return nil
	}
	b, err := encode(p, k.nativeQueue)
	if err != nil {
		return err
	}
	size, err := b.send(k.generation)
	k.written += size
	switch {
	case errors.Is(err, unix.ERESTART), errors.Is(err, unix.ENOENT) && p.Forgets():
		return ErrChanged
	case err != nil:
		return fmt.Errorf("writing table inet %s (nothing was changed): %w", rules.TableName, explain(err))
	}
	return nil
}

// encode turns a plan into messages: what refers goes before what it refers to, and comes after it.
func encode(p *rules.Plan, native bool) (*batch, error) {
	b := &batch{}
	var errs []error
	try := func(err error) { errs = append(errs, err) }
	if p.Recreate {
		try(b.table(unix.NFT_MSG_DELTABLE))
	}
	if p.Create || p.Recreate {
		try(b.table(unix.NFT_MSG_NEWTABLE))
	}
	for _, c := range p.FlushRules {
		try(b.flushRules(c))
	}
	for _, s := range p.DelElems {
		b.elements(unix.NFT_MSG_DELSETELEM, s)
	}
	for _, s := range p.DelSets {
		try(b.deleteSet(s))
	}
	for _, c := range p.DelChains {
		try(b.chain(unix.NFT_MSG_DELCHAIN, c))
	}
	for _, h := range p.DelHelpers {
		try(b.object(unix.NFT_MSG_DELOBJ, h))
	}
	for _, f := range p.DelFlowtables {
		try(b.flowtable(unix.NFT_MSG_DELFLOWTABLE, f))
	}
	for _, c := range p.DelCounters {
		try(b.counter(unix.NFT_MSG_DELOBJ, c))
	}
	for _, h := range p.AddHelpers {
		try(b.object(unix.NFT_MSG_NEWOBJ, h))
	}
	for _, c := range p.AddCounters {
		try(b.counter(unix.NFT_MSG_NEWOBJ, c))
	}
	for _, f := range p.AddFlowtables {
		try(b.flowtable(unix.NFT_MSG_NEWFLOWTABLE, f))
	}
	for _, c := range p.AddChains {
		try(b.chain(unix.NFT_MSG_NEWCHAIN, c))
	}
	for i, s := range p.AddSets {
		try(b.set(s, uint32(i+1)))
	}
	for _, s := range p.AddElems {
		b.elements(unix.NFT_MSG_NEWSETELEM, s)
	}
	for _, c := range p.AddRules {
		for _, r := range c.Rules {
			try(b.rule(c.Name, r, native))
		}
	}
	return b, errors.Join(errs...)
}

// send carries the batch out if the kernel's rules still are of that generation. The kernel answers while it
// takes the batch: once it is sent, every answer waits in the socket. The size is that of what was sent.
func (b *batch) send(generation uint32) (size int, err error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	messages, size, err := b.frame(generation)
	if err != nil {
		return 0, err
	}
	// One sendmsg carries the whole batch, and each failed message has an answer of its own.
	if err := errors.Join(conn.SetWriteBuffer(size+1<<16), conn.SetReadBuffer(answerSize*len(messages)+1<<16)); err != nil {
		return 0, fmt.Errorf("preparing the netlink socket: %w", err)
	}
	sent, err := conn.SendMessages(messages)
	if err != nil {
		return 0, fmt.Errorf("sending %d bytes in one message: %w", size, err)
	}
	return size, b.answers(conn, sent)
}

// answerSize is about what an answer takes of a socket's buffer.
const answerSize = 1024

// frame puts the batch between its begin and end; the last message asks for an answer.
func (b *batch) frame(generation uint32) (messages []netlink.Message, size int, err error) {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.Uint32(unix.NFNL_BATCH_GENID, generation)
	genid, err := ae.Encode()
	if err != nil {
		return nil, 0, err
	}
	edge := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request},
			Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}, genid...),
		}
	}
	messages = append(messages, edge(unix.NFNL_MSG_BATCH_BEGIN))
	messages = append(messages, b.messages...)
	messages[len(messages)-1].Header.Flags |= netlink.Acknowledge
	messages = append(messages, edge(unix.NFNL_MSG_BATCH_END))
	for _, m := range messages {
		size += unix.SizeofNlMsghdr + (len(m.Data)+unix.NLMSG_ALIGNTO-1)/unix.NLMSG_ALIGNTO*unix.NLMSG_ALIGNTO
	}
	return messages, size, nil
}

// answers reads what waits in the socket and returns the first error, with what the message was about.
func (b *batch) answers(conn *netlink.Conn, sent []netlink.Message) error {
	var first error
	for {
		ready, err := readable(conn)
		if err != nil {
			return errors.Join(first, fmt.Errorf("waiting for the kernel's answer: %w", err))
		}
		if !ready {
			return first
		}
		if _, err := conn.Receive(); err != nil && first == nil {
			first = b.explain(err, sent)
		}
	}
}

func (b *batch) explain(err error, sent []netlink.Message) error {
	var op *netlink.OpError
	if !errors.As(err, &op) {
		return err
	}
	for i, m := range sent {
		if m.Header.Sequence == op.Sequence && i > 0 && i <= len(b.what) {
			return fmt.Errorf("%s: %w", b.what[i-1], noDevice(lacking(err, b.rules[i-1]), b.what[i-1]))
		}
	}
	return err
}

// readable tells whether an answer waits, without waiting for one.
func readable(conn *netlink.Conn) (bool, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, err
	}
	var n int
	var pollErr error
	err = raw.Control(func(fd uintptr) {
		for {
			n, pollErr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			if !errors.Is(pollErr, unix.EINTR) { // Go's runtime sends signals to its own threads
				return
			}
		}
	})
	return n > 0, errors.Join(err, pollErr)
}
