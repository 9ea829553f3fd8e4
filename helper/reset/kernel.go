package reset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/track"
	"ftpvip/rules"
)

// realKernel is conntrack and raw sockets of the current network namespace.
type realKernel struct {
	conn         *conntrack.Conn
	raw4, raw6   int // sockets; -1 if there is none
	labels, mask []byte
}

// openKernel connects to conntrack, and for sending opens raw sockets.
func openKernel(sending bool) (*realKernel, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	k := &realKernel{conn: conn, raw4: -1, raw6: -1}
	if !sending {
		return k, nil
	}
	k.labels, k.mask = make([]byte, 16), make([]byte, 16)
	const word, bit = rules.EndedLabel / 32 * 4, uint32(1) << (rules.EndedLabel % 32)
	binary.NativeEndian.PutUint32(k.labels[word:], bit)
	binary.NativeEndian.PutUint32(k.mask[word:], bit)
	if k.raw4, err = rawSocket(unix.AF_INET); err == nil {
		k.raw6, err = rawSocket(unix.AF_INET6)
		if errors.Is(err, unix.EAFNOSUPPORT) { // a host without IPv6
			k.raw6, err = -1, nil
		}
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// rawSocket is one that takes whole packets, header and all (raw(7), IPPROTO_RAW). Their priority keeps them from
// connection tracking, see rules.ProvokingPriority.
func rawSocket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("opening a raw socket: %w: run as root or with CAP_NET_RAW and CAP_NET_ADMIN", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, rules.ProvokingPriority); err != nil {
		return -1, errors.Join(fmt.Errorf("setting the priority of a raw socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

func (k *realKernel) close() {
	_ = k.conn.Close() // nothing was left in it
	for _, fd := range []int{k.raw4, k.raw6} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (k *realKernel) dump() ([]conntrack.Flow, error) {
	flows, err := k.conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("listing conntrack's connections: %w", err)
	}
	return flows, nil
}

// label marks a connection as ended. It reports false where the kernel has no place for labels in it.
func (k *realKernel) label(f *conntrack.Flow) (bool, error) {
	err := k.conn.Update(conntrack.Flow{Zone: f.Zone, TupleOrig: f.TupleOrig, TupleReply: f.TupleReply, Labels: k.labels, LabelsMask: k.mask})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT): // gone by itself
		return true, nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	}
	return false, fmt.Errorf("marking the connection %s to %s: %w", track.Source(f.TupleOrig), track.Destination(f.TupleOrig), err)
}

// forget deletes a connection from conntrack, with what it expects.
func (k *realKernel) forget(f *conntrack.Flow) error {
	err := k.conn.Delete(conntrack.Flow{Zone: f.Zone, ID: f.ID, TupleOrig: f.TupleOrig, TupleReply: f.TupleReply})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("deleting the connection %s to %s: %w", track.Source(f.TupleOrig), track.Destination(f.TupleOrig), err)
	}
	return nil
}

func (k *realKernel) send(b []byte, to netip.Addr) error {
	var err error
	if to.Is4() {
		err = unix.Sendto(k.raw4, b, 0, &unix.SockaddrInet4{Addr: to.As4()})
	} else {
		err = unix.Sendto(k.raw6, b, 0, &unix.SockaddrInet6{Addr: to.As16()})
	}
	if err != nil {
		return fmt.Errorf("sending to %s: %w", to, err)
	}
	return nil
}
