// Package nfqueue reads packets from one NFQUEUE and gives them back, at the price of one system call each and without
// allocating. It exists because go-nfqueue reads every message twice, through Go's poller, into new memory: a PASV and
// its reply took five times the processor time.
package nfqueue

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/rules/nfnl"
)

// Requests of ours that are answered, told apart by their sequence numbers. Verdicts have 0.
const (
	seqBind uint32 = iota + 1
	seqUnbind
	seqAllowed
)

// ErrTaken says that another program reads from the queue.
var ErrTaken = errors.New("another program has the queue")

const (
	// messageLen has room for the longest packet and what the kernel says about it.
	messageLen = 1<<16 + 4096
	// bufferLen is the room of the socket, which the kernel doubles: some 8000 small packets, which take 600 to 800 bytes each.
	bufferLen = 3 << 20
)

// yieldEvery is after how many messages the reader yields. The scheduler takes the processor from a goroutine that has not
// yielded for 10 ms whenever it is in a system call (runtime/proc.go, retake), and a reader is in one most of the time.
const yieldEvery = 64

// The kernel's answers get lost where the socket is full of packets.
const (
	look     = time.Second            // how often the reader looks whether it is to end
	patience = 5 * time.Second        // for the answer to the binding
	pause    = 100 * time.Millisecond // after an error
)

// Handler is who gets the packets.
type Handler struct {
	// Packet is given every packet, one after the other. Its bytes may be changed, and belong to the reader again
	// when Packet returns. The verdict may come later and from another goroutine.
	Packet func(id uint32, packet []byte)
	// Error is told what goes wrong while reading. It changes nothing; the reader goes on.
	Error func(error)
	// Gone is told that a verdict came too late: the kernel had dropped the packet, because the network device that it
	// came by or was to leave by went down (net/netfilter/nfnetlink_queue.c, nfqnl_dev_drop). May be nil.
	Gone func()
}

// Queue is one NFQUEUE.
type Queue struct {
	number uint16
	socket *nfnl.Socket
	h      Handler
	count  count

	answers  chan error    // gets the answer to the binding, and to the question after it
	done     chan struct{} // closed when the reader has ended; nil: it was never started
	stopping atomic.Bool
	stop     sync.Once
}

// Open prepares to read from the queue of that number in the network namespace of the calling thread.
func Open(number uint16) (*Queue, error) {
	socket, err := nfnl.Open()
	if err != nil {
		return nil, err
	}
	q := &Queue{number: number, socket: socket, answers: make(chan error, 1)}
	// Packets that find the socket full are dropped and counted in the queue; TCP sends them again.
	if err := errors.Join(socket.NoENOBUFS(), socket.Buffer(bufferLen), socket.Timeout(look)); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return q, nil
}

// Bind takes the queue and calls h for what comes, until Stop or Close. At most maxQueued packets wait for their
// verdicts; the kernel drops the others. The error is ErrTaken if another program has the queue, and unix.EPERM if this
// one may not use any.
func (q *Queue) Bind(maxQueued uint32, h Handler) error {
	q.h, q.done = h, make(chan struct{})
	go q.read()
	var a [configLen]byte
	err := q.ask(appendBind(a[:0], q.number, maxQueued, seqBind))
	switch {
	case errors.Is(err, unix.EBUSY):
		return ErrTaken
	case errors.Is(err, unix.EPERM) && q.ask(appendNothing(a[:0], q.number, seqAllowed)) == nil:
		return ErrTaken // the kernel has the same number for both (nfqnl_recv_config)
	}
	return err
}

// ask sends a request and waits for the answer.
func (q *Queue) ask(request []byte) error {
	if err := q.socket.Send(request, nil); err != nil {
		return err
	}
	select {
	case err := <-q.answers:
		return err
	case <-time.After(patience):
		return fmt.Errorf("no answer from the kernel: %w", os.ErrDeadlineExceeded)
	}
}

// Stop gives the queue back: no more packets come. Packets without a verdict are dropped. It does not wait.
func (q *Queue) Stop() {
	if q.done == nil {
		return
	}
	q.stop.Do(func() {
		q.stopping.Store(true)
		var a [configLen]byte
		if err := q.socket.Send(appendUnbind(a[:0], q.number, seqUnbind), nil); err != nil { // the answer wakes the reader
			q.h.Error(fmt.Errorf("giving the queue back: %w", err))
		}
	})
}

// Close is Stop, and waits for the reader. Verdicts that come later are answered with os.ErrClosed.
func (q *Queue) Close() error {
	q.Stop()
	if q.done != nil {
		<-q.done
	}
	return q.socket.Close()
}

// Accept lets a packet go on as it came.
func (q *Queue) Accept(id uint32) error { return q.verdict(id, nfAccept) }

// Drop drops a packet.
func (q *Queue) Drop(id uint32) error { return q.verdict(id, nfDrop) }

func (q *Queue) verdict(id, verdict uint32) error {
	q.count.judged.Add(1)
	var a [verdictLen]byte
	b := appendVerdict(a[:0], q.number, id, verdict)
	nfnl.Finish(b, 0)
	return q.socket.Send(b, nil)
}

// Replace lets another packet go on in its place; its checksums have to be right.
func (q *Queue) Replace(id uint32, packet []byte) error {
	q.count.judged.Add(1)
	var a [replaceLen]byte
	b := appendVerdict(a[:0], q.number, id, nfAccept)
	b = nfnl.AppendAttrHeader(b, attrPayload, len(packet))
	nfnl.Finish(b, len(packet)+nfnl.Padding(len(packet)))
	return q.socket.Send(b, packet)
}

// read is the reader: it waits in the kernel for the next message, and ends with the answer to the unbinding.
func (q *Queue) read() {
	defer close(q.done)
	buf := make([]byte, messageLen)
	for i := 0; ; i++ {
		if i%yieldEvery == 0 {
			runtime.Gosched()
		}
		n, err := q.socket.Receive(buf)
		switch {
		case err == nil:
		case q.stopping.Load():
			return
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		default:
			q.h.Error(fmt.Errorf("reading from the queue: %w", err))
			time.Sleep(pause)
			continue
		}
		if q.messages(buf[:n]) {
			return
		}
	}
}

// messages takes what was received apart, and reports whether the last has come.
func (q *Queue) messages(b []byte) (last bool) {
	for len(b) > 0 {
		m, rest, ok := nfnl.Next(b)
		switch {
		case !ok:
			q.h.Error(fmt.Errorf("reading from the queue: %w", errMalformed))
			return false
		case m.Type == packetType:
			q.packet(m.Attrs)
		case q.answer(&m):
			return true
		}
		b = rest
	}
	return false
}

// packet hands a packet on. None is left without a verdict: what cannot be read is dropped, and TCP sends it again.
func (q *Queue) packet(attrs []byte) {
	id, hasID, payload, err := readPacket(attrs)
	switch {
	case err != nil:
		q.h.Error(fmt.Errorf("reading from the queue: %w", err))
	case payload != nil:
		q.count.came(id)
		q.h.Packet(id, payload)
		return
	}
	// A packet without payload slipped in before the kernel knew that we want to see it (appendBind).
	if hasID {
		q.count.came(id)
		if err := q.Drop(id); err != nil {
			q.h.Error(fmt.Errorf("dropping a packet that cannot be read: %w", err))
		}
	}
}

// answer looks at an answer of the kernel's, and reports whether it is the last.
func (q *Queue) answer(m *nfnl.Message) (last bool) {
	switch {
	case m.Type != unix.NLMSG_ERROR:
	case m.Seq == seqBind, m.Seq == seqAllowed:
		select {
		case q.answers <- m.Err():
		default: // there is one for each question
		}
	case m.Seq == seqUnbind:
		return true
	case m.Err() == nil || q.stopping.Load():
	case errors.Is(m.Err(), unix.ENOENT):
		if q.h.Gone != nil {
			q.h.Gone()
		}
	default:
		q.h.Error(fmt.Errorf("a verdict is refused: %w", m.Err()))
	}
	return false
}
