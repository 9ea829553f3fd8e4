package raw

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// Link is the way from a host to a destination: a socket on the link that the packets leave by.
type Link struct {
	file *os.File
	to   unix.SockaddrLinklayer
}

// Open finds the link and the neighbour that lead from a host to a destination.
func Open(n *lab.Namespace, to netip.Addr) (*Link, error) {
	l := &Link{}
	err := n.Do(func() error {
		device, mac, err := nextHop(to)
		if err != nil {
			return err
		}
		l.to = unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: device, Halen: uint8(len(mac))}
		if to.Is6() {
			l.to.Protocol = htons(unix.ETH_P_IPV6)
		}
		copy(l.to.Addr[:], mac)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(l.to.Protocol))
		if err != nil {
			return err
		}
		l.file = os.NewFile(uintptr(fd), "link")
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: l.to.Protocol, Ifindex: device})
	})
	if err != nil {
		return nil, fmt.Errorf("opening the link from %s to %s: %w", n.Name, to, err)
	}
	return l, nil
}

// nextHop looks up where packets go. The neighbour is asked for its address by the first packet, if need be.
func nextHop(to netip.Addr) (device int, mac []byte, err error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil {
		return 0, nil, err
	}
	if len(routes) == 0 {
		return 0, nil, errors.New("no route")
	}
	hop, family := routes[0].Gw, netlink.FAMILY_V4
	if hop == nil {
		hop = to.AsSlice()
	}
	if to.Is6() {
		family = netlink.FAMILY_V6
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		neighbours, err := netlink.NeighList(routes[0].LinkIndex, family)
		if err != nil {
			return 0, nil, err
		}
		for _, n := range neighbours {
			if n.IP.Equal(hop) && len(n.HardwareAddr) > 0 {
				return routes[0].LinkIndex, n.HardwareAddr, nil
			}
		}
		if err := provoke(to); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, fmt.Errorf("%s has no link address", hop)
}

// provoke sends a datagram that nobody wants.
func provoke(to netip.Addr) error {
	domain, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: 9, Addr: to.As16()})
	if to.Is4() {
		domain, at = unix.AF_INET, &unix.SockaddrInet4{Port: 9, Addr: to.As4()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Sendto(fd, []byte("x"), 0, at), unix.Close(fd))
}

// Send sends a segment.
func (l *Link) Send(s Segment) error {
	b, err := s.bytes()
	if err != nil {
		return err
	}
	conn, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), b, 0, &l.to)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	if err := errors.Join(err, sendErr); err != nil {
		return fmt.Errorf("sending a segment: %w", err)
	}
	return nil
}

// Close gives the socket up.
func (l *Link) Close() error { return l.file.Close() }

func htons(n uint16) uint16 { return n<<8 | n>>8 }
