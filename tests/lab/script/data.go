package script

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// dataPatience bounds the wait for a data connection, after which a server says 425. An emulated machine that begins a
// hundred dialogues needs more than ten seconds for the first.
const dataPatience = 25 * time.Second

// sendBuffer is a server's for data.
const sendBuffer = 64 << 10

// lastPort counts the ports of data connections. Their low byte is at least 200, so that a port whose last digits are
// missing is always another test's mistake, never its port.
var lastPort atomic.Uint32

const (
	firstHigh, highs = 60, 190
	firstLow, lows   = 200, 50
)

// FreshPort returns a port that nothing had before, for 9,500 times.
func FreshPort() uint16 {
	n := lastPort.Add(1)
	return uint16((firstHigh+n%highs)<<8 | (firstLow + n/highs%lows))
}

// Plausible reports whether FreshPort may have returned a port.
func Plausible(port uint16) bool {
	high, low := port>>8, port&255
	return high >= firstHigh && high < firstHigh+highs && low >= firstLow && low < firstLow+lows
}

// ListenFresh listens on a fresh port.
func ListenFresh(ctx context.Context, host *lab.Namespace, addr netip.Addr) (*net.TCPListener, error) {
	for {
		l, err := host.Listen(ctx, netip.AddrPortFrom(addr, FreshPort()))
		if !errors.Is(err, unix.EADDRINUSE) {
			return l, err
		}
	}
}

// transfer is a data connection that is under way.
type transfer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Transfer answers, opens a data connection, moves data as the verb wants it, and reports the end.
func Transfer() Step {
	return func(s *Session, _ string) error {
		if err := s.reply(s.verb, "150 here it comes\r\n"); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(s.ctx)
		t := &transfer{cancel: cancel, done: make(chan struct{})}
		s.running = t
		verb, listener, target := s.verb, s.listener, s.target
		s.listener = nil
		go func() {
			defer close(t.done)
			defer cancel()
			d := s.move(ctx, verb, listener, target)
			s.mu.Lock()
			s.data = append(s.data, d)
			s.mu.Unlock()
			text := "226 done\r\n"
			switch {
			case !d.Peer.IsValid():
				text = "425 no data connection\r\n"
			case d.Err != nil:
				text = "426 broken off\r\n"
			}
			_ = s.reply(verb, text) // where the control connection has ended, the client says so
		}()
		return nil
	}
}

// Abort ends the running transfer, if there is one, and waits until its end was reported.
func Abort() Step {
	return func(s *Session, _ string) error {
		if t := s.running; t != nil {
			t.cancel()
			<-t.done
		}
		return nil
	}
}

// move opens a data connection and moves all data.
func (s *Session) move(ctx context.Context, verb string, listener *net.TCPListener, target netip.AddrPort) Data {
	d := Data{Verb: verb}
	conn, err := s.open(ctx, listener, target)
	if err != nil {
		d.Err = err
		return d
	}
	d.Peer = addrPort(conn.RemoteAddr())
	if err := conn.(*net.TCPConn).SetWriteBuffer(sendBuffer); err != nil { // so that little is under way where the client does not read
		d.Err = err
		return d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if verb == "STOR" {
		d.Received, d.Err = io.ReadAll(conn)
	} else {
		_, d.Err = conn.Write(s.script.Content)
	}
	stop()
	_ = conn.Close()
	if ctx.Err() != nil {
		d.Err = context.Cause(ctx)
	}
	return d
}

func (s *Session) open(ctx context.Context, listener *net.TCPListener, target netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dataPatience)
	defer cancel()
	switch {
	case listener != nil:
		defer listener.Close()
		stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
		defer stop()
		return listener.Accept()
	case target.IsValid():
		return s.host.Dial(ctx, s.Local().Addr(), target)
	}
	return nil, errors.New("neither PASV nor PORT was said")
}

func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
