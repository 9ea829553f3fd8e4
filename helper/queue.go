package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"ftpvip/helper/nfqueue"
	"ftpvip/helper/observe"
)

// maxQueued is how many packets may wait in one queue for their verdicts. It is more than the socket has room for: of what the
// kernel drops for a full socket the helper knows, see nfqueue.Figures.
const maxQueued = 1 << 16

// queue is one NFQUEUE. It implements verdicts.
type queue struct {
	nf    *nfqueue.Queue
	unarm func() bool // forgets about the context
}

// openQueue binds to a queue and calls handle for every packet, until ctx ends. A packet's bytes belong to the
// callee until it returns. Packets that were gone before their verdict are counted in gone.
func openQueue(
	ctx context.Context, number uint16, gone *atomic.Uint64, log *slog.Logger, handle func(q *queue, id uint32, packet []byte),
) (*queue, error) {
	nf, err := nfqueue.Open(number)
	if err != nil {
		return nil, fmt.Errorf("preparing queue %d: %w", number, err)
	}
	q := &queue{nf: nf}
	log = log.With("queue", number)
	err = nf.Bind(maxQueued, nfqueue.Handler{
		Packet: func(id uint32, packet []byte) { handle(q, id, packet) },
		Error:  func(err error) { log.Error("error while reading NFQUEUE", "err", err) },
		Gone: func() {
			gone.Add(1)
			log.Debug("the kernel dropped a packet before its verdict, because its network device went down; TCP sends it again")
		},
	})
	if err != nil {
		return nil, errors.Join(bindError(number, err), nf.Close())
	}
	q.unarm = context.AfterFunc(ctx, nf.Stop)
	return q, nil
}

// bindError says what to do about a queue that cannot be had.
func bindError(number uint16, err error) error {
	if !errors.Is(err, nfqueue.ErrTaken) {
		return fmt.Errorf("binding to queue %d: %w", number, err)
	}
	who := "to find it, as root: ss --netlink --processes | grep -w $(awk '$1 == " + strconv.Itoa(int(number)) +
		" {print $2}' /proc/net/netfilter/nfnetlink_queue)"
	if name, pid, ok := observe.QueueOwner(number); ok {
		who = fmt.Sprintf("it is %s, process %d", name, pid)
	}
	return fmt.Errorf("binding to queue %d: %w: %s; stop it, or choose another helper.first_queue and apply", number, err, who)
}

// close gives the queue back and waits until no packet is being handled.
func (q *queue) close() error {
	q.unarm()
	return q.nf.Close()
}

func (q *queue) accept(id uint32) error { return q.nf.Accept(id) }

func (q *queue) drop(id uint32) error { return q.nf.Drop(id) }

func (q *queue) replace(id uint32, packet []byte) error { return q.nf.Replace(id, packet) }
