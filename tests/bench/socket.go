package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

func sockaddr(a netip.AddrPort) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// tcpSocket makes a non-blocking TCP socket that sends small packets at once.
func tcpSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("making a socket: %w", err)
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

// listen listens at an address of the thread's network namespace. Accepted sockets inherit TCP_NODELAY.
func listen(at netip.AddrPort) (int, error) {
	fd, err := tcpSocket()
	if err != nil {
		return -1, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, sockaddr(at)))
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("listening at %s: %w", at, err)
	}
	return fd, nil
}

// connect begins to connect in the thread's network namespace; the socket is writable when it is done.
func connect(from netip.Addr, to netip.AddrPort) (int, error) {
	fd, err := tcpSocket()
	if err != nil {
		return -1, err
	}
	// The port is chosen by connect, which needs it to be free for this destination only.
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err == nil {
		err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0)))
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connecting from %s to %s: %w", from, to, err)
	}
	return fd, nil
}

// connected tells how connecting ended.
func connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// abort makes the socket's close send a reset, which ends the connection at both ends at once.
func abort(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// errClosed is the end of a connection that should have gone on.
var errClosed = errors.New("the other end closed the connection")

// lines collects what a socket receives into lines. Nothing in this program sends a line that does not fit.
type lines struct {
	b    [512]byte
	n    int // bytes in b
	done int // bytes of b that were returned as lines
}

// fill reads once; call it when the socket is readable, and take all lines before the next call.
func (l *lines) fill(fd int) error {
	copy(l.b[:], l.b[l.done:l.n])
	l.n -= l.done
	l.done = 0
	if l.n == len(l.b) {
		l.n = 0 // a line without end, of a hostile client: a server forgets it
	}
	n, err := unix.Read(fd, l.b[l.n:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errClosed
	}
	l.n += n
	return nil
}

// next returns the next whole line without its CRLF, or nil. It is valid until fill is called.
func (l *lines) next() []byte {
	for i := l.done; i+1 < l.n; i++ {
		if l.b[i] == '\r' && l.b[i+1] == '\n' {
			line := l.b[l.done:i]
			l.done = i + 2
			return line
		}
	}
	return nil
}
