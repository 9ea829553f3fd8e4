package raw

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ftpvip/helper/packet"
	"ftpvip/tests/lab"
)

// Ports of connections of this package. The host's own TCP must not see their packets: see Silence.
const (
	firstPort = 5000
	ports     = 1000
)

var lastPort atomic.Uint32

// Silence has the host's TCP neither see nor answer packets of connections of this package.
func Silence(ctx context.Context, n *lab.Namespace) error {
	text := fmt.Sprintf(`table inet raw_connections {
	chain in {
		type filter hook prerouting priority -400; policy accept;
		tcp dport %d-%d drop
	}
}
`, firstPort, firstPort+ports-1)
	r, err := n.Run(ctx, lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(text)})
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	return err
}

// Conn is a TCP connection whose segments a test sends one by one. What comes is acknowledged in order.
type Conn struct {
	Local, Remote netip.AddrPort

	link  *Link
	start uint32 // sequence number of the first byte

	mu       sync.Mutex
	got      []byte
	next     uint32 // of the remote end's stream
	open     bool
	acked    uint32
	resets   int
	finished bool
}

// patience bounds every wait.
const patience = 40 * time.Second

// ErrReset says that the other end, or somebody for it, reset the connection.
var ErrReset = errors.New("the connection was reset")

// again is the time after which a segment that has to arrive is sent again.
const again = 300 * time.Millisecond

// Dial opens a connection from a host that is silent.
func Dial(n *lab.Namespace, from netip.Addr, to netip.AddrPort) (*Conn, error) {
	link, err := Open(n, to.Addr())
	if err != nil {
		return nil, err
	}
	c := &Conn{
		Local:  netip.AddrPortFrom(from, uint16(firstPort+lastPort.Add(1)%ports)),
		Remote: to, link: link, start: rand.Uint32(),
	}
	go c.receive()
	err = c.until(func() error { return c.Send(Segment{Seq: c.start - 1, Flags: packet.SYN}) }, "SYN-ACK", func() bool { return c.open })
	if err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return c, nil
}

// Close gives the connection up without a word.
func (c *Conn) Close() error { return c.link.Close() }

// Seq is the sequence number of a byte that is sent, counted from 0.
func (c *Conn) Seq(at int) uint32 { return c.start + uint32(at) }

// Send sends a segment once. What is zero of its addresses and of its acknowledgement is filled in.
func (c *Conn) Send(s Segment) error {
	s.Src, s.Dst = c.Local, c.Remote
	if s.Ack == 0 && s.Flags.Has(packet.ACK) {
		c.mu.Lock()
		s.Ack = c.next
		c.mu.Unlock()
	}
	return c.link.Send(s)
}

// Say sends a text that begins at a position of the stream, once.
func (c *Conn) Say(at int, text string) error {
	return c.Send(Segment{Seq: c.Seq(at), Flags: packet.ACK | packet.PSH, Payload: []byte(text)})
}

// Deliver is Say until it is acknowledged.
func (c *Conn) Deliver(at int, text string) error {
	end := c.Seq(at + len(text))
	return c.until(func() error { return c.Say(at, text) }, fmt.Sprintf("acknowledgement of %q", text), func() bool {
		return int32(c.acked-end) >= 0
	})
}

// Acked is how many bytes the other end has acknowledged.
func (c *Conn) Acked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(int32(c.acked - c.start))
}

// Await waits for a text among what comes.
func (c *Conn) Await(text string) error {
	return c.until(func() error { return nil }, fmt.Sprintf("%q", text), func() bool { return strings.Contains(string(c.got), text) })
}

// until does something again and again until a condition holds; the condition is called with the lock held.
func (c *Conn) until(do func() error, what string, holds func() bool) error {
	var next time.Time
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		ok, resets, got := holds(), c.resets, string(c.got)
		c.mu.Unlock()
		now := time.Now()
		switch {
		case ok:
			return nil
		case resets > 0:
			return fmt.Errorf("no %s: %w (came so far: %q)", what, ErrReset, got)
		case now.After(deadline):
			return fmt.Errorf("no %s (came so far: %q)", what, got)
		case now.After(next):
			if err := do(); err != nil {
				return err
			}
			next = now.Add(again)
		}
	}
}

// receive takes what comes until the link is closed.
func (c *Conn) receive() {
	b := make([]byte, 1<<16)
	for {
		n, err := c.link.file.Read(b)
		if err != nil {
			return
		}
		p, err := packet.Parse(b[:n])
		if err == nil && p.Src == c.Remote && p.Dst == c.Local && c.take(p) {
			_ = c.Send(Segment{Seq: c.Seq(c.Acked()), Flags: packet.ACK}) // if lost, it is sent again with the next
		}
	}
}

// take notes a segment and says whether it is to be acknowledged.
func (c *Conn) take(p packet.Packet) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Flags.Has(packet.RST) {
		c.resets++
		return false
	}
	if p.Flags.Has(packet.SYN) {
		if !c.open {
			c.open, c.next, c.acked = true, p.Seq+1, p.Ack
		}
		return true
	}
	if p.Flags.Has(packet.ACK) && int32(p.Ack-c.acked) > 0 {
		c.acked = p.Ack
	}
	if old := int(int32(c.next - p.Seq)); old >= 0 && old < len(p.Payload) {
		c.got = append(c.got, p.Payload[old:]...)
		c.next += uint32(len(p.Payload) - old)
	}
	if p.Flags.Has(packet.FIN) && p.Seq+uint32(len(p.Payload)) == c.next && !c.finished {
		c.finished = true
		c.next++
	}
	return len(p.Payload) > 0 || p.Flags.Has(packet.FIN)
}
