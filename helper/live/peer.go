package live

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// soPeerPidfd is SO_PEERPIDFD of asm-generic/socket.h, in Linux 6.5 and later.
const soPeerPidfd = 77

// mayAnswer returns an ErrStranger unless root or owner listens at the other end, as the kernel noted then
// (SO_PEERCRED of unix(7)).
func mayAnswer(c *net.UnixConn, owner uint32) error {
	var peer *unix.Ucred
	err := control(c, func(fd int) (err error) {
		peer, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking the kernel who listens: %w", err)
	}
	if peer.Uid != 0 && peer.Uid != owner {
		return fmt.Errorf("process %d of user %d listens there, %w: see who that is, and remove the socket", peer.Pid, peer.Uid, ErrStranger)
	}
	return nil
}

// openPeer returns a file descriptor of the process that listens at the other end.
func openPeer(c *net.UnixConn) (pidfd int, err error) {
	err = control(c, func(fd int) error {
		if pidfd, err = peerPidfd(fd); errors.Is(err, unix.ENOPROTOOPT) {
			pidfd, err = peerByNumber(fd)
		}
		return err
	})
	return pidfd, err
}

func peerPidfd(fd int) (pidfd int, err error) {
	pidfd, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, soPeerPidfd)
	if err == nil {
		unix.CloseOnExec(pidfd)
	}
	return pidfd, err
}

// peerByNumber is for kernels that have no SO_PEERPIDFD. While the process answers, its number is nobody else's.
func peerByNumber(fd int) (pidfd int, err error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	if peer.Pid <= 0 {
		return -1, errors.New("it runs in another PID namespace")
	}
	return unix.PidfdOpen(int(peer.Pid), 0)
}

// control calls f with the connection's file descriptor.
func control(c *net.UnixConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
