package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// maxQueued is how many packets may wait in one queue for their verdicts. Where it is full the kernel drops,
// and TCP sends again.
const maxQueued = 8192

// queue is one NFQUEUE. It implements verdicts.
type queue struct {
	number uint16
	nf     *nfqueue.Nfqueue
	log    *slog.Logger
}

// openQueue binds to a queue and calls handle for every packet, until ctx ends. A packet's bytes belong to the
// callee until it returns.
func openQueue(ctx context.Context, number uint16, log *slog.Logger, handle func(q *queue, id uint32, packet []byte)) (*queue, error) {
	q := &queue{number: number, log: log.With("queue", number)}
	nf, err := nfqueue.Open(&nfqueue.Config{
		NfQueue:      number,
		MaxQueueLen:  maxQueued,
		MaxPacketLen: 0xffff,
		Copymode:     nfqueue.NfQnlCopyPacket,
		// Without NFQA_CFG_F_GSO packets arrive segmented and with whole checksums.
	})
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to nfnetlink_queue: %w", err)
	}
	q.nf = nf
	// A full socket buffer loses packets, which TCP sends again; it is no reason to stop reading.
	if err := errors.Join(nf.SetOption(netlink.NoENOBUFS, true), nf.Con.SetReadBuffer(4<<20)); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing queue %d: %w", number, err), nf.Close())
	}
	err = nf.RegisterWithErrorFunc(ctx,
		func(a nfqueue.Attribute) int {
			if a.PacketID == nil {
				return 0
			}
			if a.Payload == nil {
				if err := q.accept(*a.PacketID); err != nil {
					q.log.Warn("cannot accept a packet without payload", "err", err)
				}
				return 0
			}
			handle(q, *a.PacketID, *a.Payload)
			return 0
		},
		func(err error) int { return q.receiveError(ctx, err) })
	if err != nil {
		return nil, errors.Join(bindError(number, err), nf.Close())
	}
	return q, nil
}

// receiveError decides whether the queue's loop goes on (0) after an error.
func (q *queue) receiveError(ctx context.Context, err error) int {
	switch {
	case ctx.Err() != nil:
		return 1
	case errors.Is(err, unix.ENOBUFS):
		q.log.Warn("packets were lost on the way to the helper; TCP sends them again", "err", err)
		return 0
	}
	q.log.Error("cannot read from the queue", "err", err)
	return 0
}

// bindError says what to do about a queue that cannot be had.
func bindError(number uint16, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		// The kernel also answers EPERM where another socket owns the queue (nfnetlink_queue.c).
		return fmt.Errorf("binding to queue %d: %w: another program has it (see /proc/net/netfilter/nfnetlink_queue; "+
			"choose another helper.first_queue), or CAP_NET_ADMIN is missing", number, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("binding to queue %d: %w: another program has it, see /proc/net/netfilter/nfnetlink_queue; "+
			"stop it or choose another helper.first_queue", number, err)
	}
	return fmt.Errorf("binding to queue %d: %w", number, err)
}

func (q *queue) close() error { return q.nf.Close() }

func (q *queue) accept(id uint32) error { return q.nf.SetVerdict(id, nfqueue.NfAccept) }

func (q *queue) drop(id uint32) error { return q.nf.SetVerdict(id, nfqueue.NfDrop) }

func (q *queue) replace(id uint32, packet []byte) error {
	return q.nf.SetVerdictWithOption(id, nfqueue.NfAccept, nfqueue.WithAlteredPacket(packet))
}
