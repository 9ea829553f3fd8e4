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
func (k *Kernel) Commit(p *rules.Plan) error { return k.commit(p, k.generation) }

// CommitAnyway is Commit where others may have changed their rules since Read. Where it does not fit our table any more it returns
// ErrChanged.
func (k *Kernel) CommitAnyway(p *rules.Plan) error {
	err := k.commit(p, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		return ErrChanged
	}
	return err
}

// commit commits to the rules of a generation, 0 for any.
func (k *Kernel) commit(p *rules.Plan, generation uint32) error {
	if p.Empty() {
		return nil
	}
	b, err := encode(p, k.nativeQueue)
	if err != nil {
		return err
	}
	size, err := b.send(generation)
	k.written += size
	switch {
	case errors.Is(err, unix.ERESTART), errors.Is(err, unix.ENOENT) && p.Forgets():
		return ErrChanged
	case err != nil:
		return fmt.Errorf("writing table inet %s (nothing was changed): %w", rules.TableName, Explain(err))
	}
	return nil
}

// encode turns a plan into messages.
func encode(p *rules.Plan, native bool) (*batch, error) {
	b := &batch{table: rules.TableName, native: native}
	for _, o := range p.Operations {
		if err := b.operation(o); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// operation adds the messages of one operation.
func (b *batch) operation(o rules.Operation) error {
	added := o.Verb == rules.Add
	kind := func(add, del netlink.HeaderType) netlink.HeaderType {
		if added {
			return add
		}
		return del
	}
	switch object := o.Object.(type) {
	case rules.Table:
		return b.tableItself(kind(unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE))
	case rules.CTHelper:
		return b.object(kind(unix.NFT_MSG_NEWOBJ, unix.NFT_MSG_DELOBJ), object)
	case rules.Counter:
		return b.counter(kind(unix.NFT_MSG_NEWOBJ, unix.NFT_MSG_DELOBJ), object)
	case rules.Flowtable:
		return b.flowtable(kind(unix.NFT_MSG_NEWFLOWTABLE, unix.NFT_MSG_DELFLOWTABLE), object)
	case *rules.Chain:
		return b.chain(kind(unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN), object)
	case *rules.Set:
		if added {
			return b.set(object)
		}
		return b.deleteSet(object)
	case rules.Elements:
		b.elements(kind(unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM), object.Set)
		return nil
	case rules.Rules:
		if !added {
			return b.flushRules(object.Chain)
		}
		for _, r := range object.Rules {
			if err := b.rule(object.Chain, r); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("no message for %T: this is a bug, please report it", o.Object)
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
	if generation != 0 {
		ae.Uint32(unix.NFNL_BATCH_GENID, generation)
	}
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
			first = b.Explain(err, sent)
		}
	}
}

func (b *batch) Explain(err error, sent []netlink.Message) error {
	var op *netlink.OpError
	if !errors.As(err, &op) {
		return err
	}
	for i, m := range sent {
		if m.Header.Sequence == op.Sequence && i > 0 && i <= len(b.about) {
			about := b.about[i-1]
			return &refused{Type: m.Header.Type & 0xff, What: about.what, Err: about.explain(err)}
		}
	}
	return err
}

// refused says which message of a batch the kernel refused first.
type refused struct {
	Type netlink.HeaderType // NFT_MSG_*
	What string
	Err  error
}

func (r *refused) Error() string { return r.What + ": " + r.Err.Error() }

func (r *refused) Unwrap() error { return r.Err }

// readable reports whether an answer waits, without waiting for one. mdlayher/netlink can wait until a time, and so would
// wait at the end of each commit.
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
