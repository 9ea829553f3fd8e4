package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Patience bounds every wait. It is long, because a busy machine is slow and proves nothing by it.
const Patience = 40 * time.Second

// ErrEnded says that the connection has ended while something was still wanted from it.
var ErrEnded = errors.New("the connection has ended")

// End is one end of a control connection. It reads all the time, so that what TCP gives is known at once.
type End struct {
	conn *net.TCPConn

	mu    sync.Mutex
	got   []byte // everything that was read
	taken int    // how much of it ReadLine has returned
	err   error  // why nothing more comes
	news  chan struct{}
}

func newEnd(conn *net.TCPConn) *End {
	e := &End{conn: conn, news: make(chan struct{})}
	go e.read()
	return e
}

func (e *End) read() {
	b := make([]byte, 4096)
	for {
		n, err := e.conn.Read(b)
		e.mu.Lock()
		e.got, e.err = append(e.got, b[:n]...), err
		close(e.news)
		e.news = make(chan struct{})
		e.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Got is every byte that TCP has given so far.
func (e *End) Got() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.got)
}

// Await waits until the bytes that were read fulfil a condition.
func (e *End) Await(ctx context.Context, what string, holds func(got string) bool) error {
	timeout := time.After(Patience)
	for {
		e.mu.Lock()
		got, err, news := string(e.got), e.err, e.news
		e.mu.Unlock()
		switch {
		case holds(got):
			return nil
		case err != nil:
			return fmt.Errorf("waiting for %s: %w: %w (read so far: %q)", what, ErrEnded, err, got)
		}
		select {
		case <-news:
		case <-timeout:
			return fmt.Errorf("waiting for %s: nothing came in %v (read so far: %q)", what, Patience, got)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (read so far: %q)", what, context.Cause(ctx), got)
		}
	}
}

// ReadLine returns the next line without its end. Lines end with LF.
func (e *End) ReadLine(ctx context.Context, what string) (string, error) {
	next := func(got string) int { return strings.IndexByte(got[e.taken:], '\n') }
	if err := e.Await(ctx, what, func(got string) bool { return next(got) >= 0 }); err != nil {
		return "", err
	}
	got := e.Got()
	line := got[e.taken : e.taken+next(got)]
	e.taken += len(line) + 1
	return strings.TrimSuffix(line, "\r"), nil
}

// AwaitEnd waits until the other end has closed or reset the connection.
func (e *End) AwaitEnd(ctx context.Context) (reset bool, err error) {
	err = e.Await(ctx, "the connection's end", func(string) bool { return false })
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case errors.Is(err, unix.ECONNRESET):
		return true, nil
	}
	return false, err
}

// over reports whether nothing more will come.
func (e *End) over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err != nil
}

// Say sends a text, cut or not.
func (e *End) Say(ctx context.Context, text string, c Cut) error {
	if err := e.conn.SetNoDelay(!c.Nagle); err != nil {
		return err
	}
	for i, piece := range c.pieces(text) {
		if i > 0 && c.Pause > 0 {
			select {
			case <-time.After(c.Pause):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if _, err := e.conn.Write([]byte(piece)); err != nil {
			return fmt.Errorf("sending %q: %w", piece, err)
		}
	}
	return nil
}

// Urgent sends a text whose last byte is urgent data (MSG_OOB, RFC 6093).
func (e *End) Urgent(text string) error {
	return e.control("sending urgent data", func(fd int) error { return unix.Send(fd, []byte(text), unix.MSG_OOB) })
}

// Inline has urgent data stay in the stream, as servers do that know of Telnet's Synch (SO_OOBINLINE).
func (e *End) Inline() error {
	return e.control("setting SO_OOBINLINE", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	})
}

// Sequence returns the sequence number of the next byte that is sent and of the next that is received (TCP_REPAIR,
// linux/net/ipv4/tcp.c).
func (e *End) Sequence() (send, receive uint32, err error) {
	const receiveQueue, sendQueue = 1, 2 // linux/tcp.h, which has no names for them in package unix
	const off = -1                       // TCP_REPAIR_OFF_NO_WP: without a window probe
	err = e.control("asking TCP for sequence numbers", func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1); err != nil {
			return err
		}
		var numbers [2]uint32
		var errs []error
		for i, queue := range []int{sendQueue, receiveQueue} {
			err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR_QUEUE, queue)
			number, getErr := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
			numbers[i], errs = uint32(number), append(errs, err, getErr)
		}
		send, receive = numbers[0], numbers[1]
		return errors.Join(append(errs, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, off))...)
	})
	return send, receive, err
}

func (e *End) control(what string, f func(fd int) error) error {
	raw, err := e.conn.SyscallConn()
	if err == nil {
		var inner error
		err = errors.Join(raw.Control(func(fd uintptr) { inner = f(int(fd)) }), inner)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Local is the near end.
func (e *End) Local() netip.AddrPort { return addrPort(e.conn.LocalAddr()) }

// Remote is the far end as this one sees it.
func (e *End) Remote() netip.AddrPort { return addrPort(e.conn.RemoteAddr()) }

// CloseWrite ends what is sent; what comes is still read.
func (e *End) CloseWrite() error { return e.conn.CloseWrite() }

// Close ends the connection.
func (e *End) Close() { _ = e.conn.Close() }
