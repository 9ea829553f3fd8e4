package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// timeout bounds every single step of a session.
const timeout = 30 * time.Second

// Session is an FTP control connection, logged in as anonymous. It is not for concurrent use.
type Session struct {
	Banner string // the greeting, without its number

	host *lab.Namespace
	conn net.Conn
	text *textproto.Conn
}

// Transfer is what the client saw of one data connection.
type Transfer struct {
	Mode      Mode
	Operation Operation
	Announced netip.AddrPort // passive: where the server said to connect to; active: where we said
	Peer      netip.AddrPort // the data connection's other end
	Local     netip.AddrPort // and its near end
	Bytes     int64
	Elapsed   time.Duration // from the first command to the last reply
}

// Dial connects from a host of the lab and logs in. from may be the zero address.
func Dial(ctx context.Context, host *lab.Namespace, from netip.Addr, server netip.AddrPort) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := host.Dial(ctx, from, server)
	if err != nil {
		return nil, err
	}
	s := &Session{host: host, conn: conn, text: textproto.NewConn(conn)}
	if err := s.login(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) login() (err error) {
	s.deadline()
	if _, s.Banner, err = s.text.ReadResponse(220); err != nil {
		return fmt.Errorf("reading the greeting: %w", err)
	}
	if _, err := s.command(331, "USER anonymous"); err != nil {
		if e := (*textproto.Error)(nil); !errors.As(err, &e) || e.Code != 230 { // 230: no password wanted
			return err
		}
	} else if _, err := s.command(230, "PASS "+s.Name()); err != nil {
		return err
	}
	_, err = s.command(200, "TYPE I")
	return err
}

// Name is the password that the session gave: the near end of its control connection.
func (s *Session) Name() string { return s.Local().String() }

// Local returns the control connection's near end.
func (s *Session) Local() netip.AddrPort { return addrPort(s.conn.LocalAddr()) }

// Server returns the address that the session was dialled to.
func (s *Session) Server() netip.AddrPort { return addrPort(s.conn.RemoteAddr()) }

// Close says goodbye and hangs up.
func (s *Session) Close() error {
	_, quitErr := s.command(221, "QUIT")
	return errors.Join(quitErr, s.conn.Close())
}

// Abandon hangs up without a word.
func (s *Session) Abandon() { _ = s.conn.Close() }

// Noop checks that the session lives.
func (s *Session) Noop() error {
	_, err := s.command(200, "NOOP")
	return err
}

// Download copies a file of the server to w.
func (s *Session) Download(ctx context.Context, mode Mode, path string, w io.Writer) (Transfer, error) {
	return s.transfer(ctx, mode, Download, "RETR "+path, func(c net.Conn) (int64, error) { return io.Copy(w, c) })
}

// Upload copies r to a file of the server.
func (s *Session) Upload(ctx context.Context, mode Mode, path string, r io.Reader) (Transfer, error) {
	return s.transfer(ctx, mode, Upload, "STOR "+path, func(c net.Conn) (int64, error) { return io.Copy(c, r) })
}

// List copies the listing of a folder to w.
func (s *Session) List(ctx context.Context, mode Mode, w io.Writer) (Transfer, error) {
	return s.transfer(ctx, mode, Listing, "LIST", func(c net.Conn) (int64, error) { return io.Copy(w, c) })
}

func (s *Session) transfer(
	ctx context.Context, mode Mode, op Operation, command string, move func(net.Conn) (int64, error),
) (Transfer, error) {
	t := Transfer{Mode: mode, Operation: op}
	start := time.Now()
	open, err := s.prepare(ctx, &t)
	if err != nil {
		return t, fmt.Errorf("%s: %w", mode, err)
	}
	data, err := open(command)
	if err != nil {
		return t, fmt.Errorf("%s, then %s: %w", mode, command, err)
	}
	t.Peer, t.Local = addrPort(data.RemoteAddr()), addrPort(data.LocalAddr())
	stop := context.AfterFunc(ctx, func() { _ = data.Close() })
	t.Bytes, err = move(data)
	stop()
	if err := errors.Join(err, data.Close()); err != nil {
		return t, fmt.Errorf("%s after %d bytes: %w", command, t.Bytes, err)
	}
	s.deadline()
	if _, _, err := s.text.ReadResponse(2); err != nil {
		return t, fmt.Errorf("end of %s: %w", command, err)
	}
	t.Elapsed = time.Since(start)
	return t, nil
}

// prepare agrees with the server on a data connection. The function that it returns sends the command that uses
// it, and opens it.
func (s *Session) prepare(ctx context.Context, t *Transfer) (open func(command string) (net.Conn, error), err error) {
	if t.Mode.Active() {
		return s.prepareActive(ctx, t)
	}
	if t.Announced, err = s.Passive(t.Mode); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	data, err := freshPort(func(port uint16) (net.Conn, error) {
		return s.host.DialFrom(ctx, netip.AddrPortFrom(s.Local().Addr(), port), t.Announced)
	})
	if err != nil {
		return nil, err
	}
	return func(command string) (net.Conn, error) {
		if _, err := s.command(1, command); err != nil {
			_ = data.Close()
			return nil, err
		}
		return data, nil
	}, nil
}

// lastPort counts the ports of data connections, below those that the kernel gives away.
var lastPort atomic.Uint32

const firstPort, morePorts = 10_000, 20_000

// freshPort has a data connection begin or end at a port that none had before. Conntrack remembers connections for two
// minutes, and cannot tell one from another with the same ends: chance would have it in one of some thousand.
func freshPort[T any](open func(port uint16) (T, error)) (T, error) {
	for {
		opened, err := open(firstPort + uint16(lastPort.Add(1)%morePorts))
		if !errors.Is(err, unix.EADDRINUSE) {
			return opened, err
		}
	}
}

// Passive asks the server to listen, in mode PASV or EPSV, and returns where it says to connect to.
func (s *Session) Passive(mode Mode) (netip.AddrPort, error) {
	if mode == PASV {
		reply, err := s.command(227, "PASV")
		if err != nil {
			return netip.AddrPort{}, err
		}
		return Parse227(reply)
	}
	reply, err := s.command(229, "EPSV")
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := Parse229(reply)
	return netip.AddrPortFrom(s.Server().Addr(), port), err
}

// Active tells the server where it is to connect to, in mode PORT or EPRT.
func (s *Session) Active(mode Mode, at netip.AddrPort) error {
	_, err := s.command(200, mode.Announce(at))
	return err
}

func (s *Session) prepareActive(ctx context.Context, t *Transfer) (func(command string) (net.Conn, error), error) {
	l, err := freshPort(func(port uint16) (*net.TCPListener, error) {
		return s.host.Listen(ctx, netip.AddrPortFrom(s.Local().Addr(), port))
	})
	if err != nil {
		return nil, err
	}
	t.Announced = addrPort(l.Addr())
	if err := s.Active(t.Mode, t.Announced); err != nil {
		_ = l.Close()
		return nil, err
	}
	return func(command string) (net.Conn, error) {
		defer l.Close()
		if _, err := s.command(1, command); err != nil {
			return nil, err
		}
		if err := l.SetDeadline(time.Now().Add(timeout)); err != nil {
			return nil, err
		}
		return l.Accept()
	}, nil
}

// command sends a line and reads the reply, whose code must begin with want.
func (s *Session) command(want int, line string) (string, error) {
	s.deadline()
	if err := s.text.PrintfLine("%s", line); err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	_, reply, err := s.text.ReadResponse(want)
	if err != nil {
		return "", fmt.Errorf("%s: %w", line, err)
	}
	return reply, nil
}

// Conn is the connection, for who says and hears what a client does not.
func (s *Session) Conn() net.Conn { return s.conn }

func (s *Session) deadline() { _ = s.conn.SetDeadline(time.Now().Add(timeout)) }

func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// Greeting connects, reads the first line of the greeting without its number, and hangs up.
func Greeting(ctx context.Context, host *lab.Namespace, from netip.Addr, server netip.AddrPort) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := host.Dial(ctx, from, server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	_, text, err := textproto.NewReader(bufio.NewReader(conn)).ReadResponse(220)
	return text, err
}

// AwaitReset says nothing and waits until the control connection is reset by the other end. Anything else that
// happens to it is an error.
func (s *Session) AwaitReset(wait time.Duration) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	line, err := s.text.ReadLine()
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return nil
	case err == nil:
		return fmt.Errorf("the server says %q, want a reset", line)
	}
	return fmt.Errorf("want a reset: %w", err)
}
