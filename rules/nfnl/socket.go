package nfnl

import (
	"errors"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a netlink socket to nfnetlink. Its calls block a thread and go past Go's poller, which would cost a packet
// more than all that is done for it.
type Socket struct {
	fd     int
	mu     sync.RWMutex // held for writing to close fd: its number may be another file's right after
	closed bool
}

// Open opens a socket in the network namespace of the calling thread.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	return &Socket{fd: fd}, nil
}

// Close closes the socket. Receive must have returned, and must not be called again.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return os.NewSyscallError("close", unix.Close(s.fd))
}

// Readable reports whether Receive would return a message at once.
func (s *Socket) Readable() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}

// Timeout limits how long Receive waits: it then returns unix.EAGAIN.
func (s *Socket) Timeout(d time.Duration) error {
	t := unix.NsecToTimeval(d.Nanoseconds())
	return os.NewSyscallError("SO_RCVTIMEO", unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t))
}

// Buffer makes room for so many bytes of received messages, beyond net.core.rmem_max where the process may
// (CAP_NET_ADMIN in the initial user namespace). The kernel counts what it needs for itself, and doubles the number.
func (s *Socket) Buffer(bytes int) error {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) == nil {
		return nil
	}
	return os.NewSyscallError("SO_RCVBUF", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes))
}

// NoENOBUFS keeps the kernel from reporting that messages did not fit into the buffer.
func (s *Socket) NoENOBUFS() error {
	return os.NewSyscallError("NETLINK_NO_ENOBUFS", unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1))
}

// Send sends one message, whose end may follow in body; padding is added to that. The kernel has carried the message out
// when Send returns; a refusal comes by Receive. Any number of goroutines may send at the same time.
func (s *Socket) Send(head, body []byte) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return os.ErrClosed
	}
	var parts [3]unix.Iovec
	n := 0
	for _, b := range [...][]byte{head, body, zeros[:Padding(len(body))]} {
		if len(b) > 0 {
			parts[n].Base = &b[0]
			parts[n].SetLen(len(b))
			n++
		}
	}
	for {
		// Netlink works and does not wait, so Go's scheduler is not told: it would take the processor away from a
		// goroutine that mostly sits in the kernel, again and again, and wake another thread for it.
		_, _, err := unix.RawSyscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&parts[0])), uintptr(n)) //nolint:gosec // parts is alive, and no longer than n
		switch err {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("writev", err)
		}
	}
}

// Receive waits for a message and reads it into b, cut off where it is longer. Interrupted, it returns unix.EINTR.
func (s *Socket) Receive(b []byte) (int, error) {
	// Under load there is a message already; see Send.
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), //nolint:gosec // within b
		unix.MSG_DONTWAIT, 0, 0)
	if err == 0 {
		return int(n), nil
	}
	return unix.Read(s.fd, b)
}
