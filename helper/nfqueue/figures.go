package nfqueue

import "sync/atomic"

// Figures are what a reader knows about its queue. The kernel's own list in /proc is for root.
type Figures struct {
	Packets uint32 // that the kernel put into the queue, the lost ones included
	Lost    uint32 // of these, for which the socket had no room: the kernel dropped them
	Waiting uint32 // that were read and have no verdict
}

// count keeps the figures. The kernel numbers packets from 1 on, also those that find the socket full
// (net/netfilter/nfnetlink_queue.c, __nfqnl_enqueue_packet).
type count struct {
	last     atomic.Uint32 // number of the last packet
	lost     atomic.Uint32
	received atomic.Uint32
	judged   atomic.Uint32 // verdicts that were sent
}

// came counts a packet that was read. Only the reader calls it.
func (c *count) came(id uint32) {
	if gap := id - c.last.Load() - 1; gap < 1<<31 { // also where the numbers begin anew
		c.lost.Add(gap)
		c.last.Store(id)
	}
	c.received.Add(1)
}

// Figures returns them as they are now.
func (q *Queue) Figures() Figures {
	judged := q.count.judged.Load() // first: no packet has its verdict before it came
	f := Figures{Packets: q.count.last.Load(), Lost: q.count.lost.Load()}
	if waiting := q.count.received.Load() - judged; waiting < 1<<31 {
		f.Waiting = waiting
	}
	return f
}

// Readable reports whether something waits in the socket to be read.
func (q *Queue) Readable() bool { return q.socket.Readable() }
