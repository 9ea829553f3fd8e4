// Package observe asks the kernel what status and doctor show: queues, their readers, connections. It changes nothing.
package observe

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// queueFile lists the queues of this network namespace that somebody listens to
// (net/netfilter/nfnetlink_queue.c, seq_show).
const queueFile = "/proc/thread-self/net/netfilter/nfnetlink_queue"

// QueueState is what the kernel says of one queue.
type QueueState struct {
	Number      uint16
	Waiting     uint32 // packets without a verdict yet
	Dropped     uint32 // since the queue was full
	UserDropped uint32 // since the listener's socket was full
	Packets     uint32 // handed out so far
	PeerPortID  uint32 // netlink port of the listener: often its process id
}

// Queues returns the queues that somebody listens to.
func Queues() (map[uint16]QueueState, error) {
	f, err := os.Open(queueFile)
	if os.IsNotExist(err) {
		return nil, nil // the module is not loaded: nobody listens
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's list of queues: %w", err)
	}
	defer func() { _ = f.Close() }()
	return parseQueues(f)
}

func parseQueues(r io.Reader) (map[uint16]QueueState, error) {
	queues := map[uint16]QueueState{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		var n [8]uint64
		for i := range n {
			v, err := strconv.ParseUint(fields[i], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("reading the kernel's list of queues: line %q: %w", lines.Text(), err)
			}
			n[i] = v
		}
		q := QueueState{
			Number: uint16(n[0]), PeerPortID: uint32(n[1]), Waiting: uint32(n[2]),
			Dropped: uint32(n[5]), UserDropped: uint32(n[6]), Packets: uint32(n[7]),
		}
		queues[q.Number] = q
	}
	return queues, lines.Err()
}
