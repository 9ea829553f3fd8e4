package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// Bits of net.ipv4.tcp_fastopen, which holds for IPv6, too (Documentation/networking/ip-sysctl.rst).
const (
	fastOpenClient = 0x1 | 0x4           // data in the SYN, also without a cookie
	fastOpenServer = 0x2 | 0x200 | 0x400 // the same, on all listeners
)

// synData is TCPI_OPT_SYN_DATA of linux/tcp.h: data in the SYN was taken.
const synData = 0x20

// fastOpen opens a connection with its first data in the SYN.
func fastOpen(n *lab.Namespace, to netip.AddrPort, data string) (conn net.Conn, err error) {
	err = n.Do(func() error {
		domain, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port())})
		if to.Addr().Is4() {
			at.(*unix.SockaddrInet4).Addr = to.Addr().As4()
		} else {
			domain, at = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
		}
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "fast open")
		defer func() { _ = file.Close() }() // the connection has a copy
		timeout := unix.NsecToTimeval((20 * time.Second).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
			return err
		}
		if err := unix.Sendto(fd, []byte(data), unix.MSG_FASTOPEN, at); err != nil {
			return fmt.Errorf("connecting to %s with data: %w", to, err)
		}
		conn, err = net.FileConn(file)
		return err
	})
	return conn, err
}

// tookSYNData reports whether a server's end of a connection took data out of the SYN.
func tookSYNData(t *testing.T, c net.Conn) bool {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	var info *unix.TCPInfo
	var infoErr error
	must(t, raw.Control(func(fd uintptr) { info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	must(t, infoErr)
	return info.Options&synData != 0
}

// TestDataInSYN has a client and servers that know TCP Fast Open (RFC 7413). Data in the SYN comes before the helper can
// know the connection: the server must not get it so. The client's TCP sends it again.
func TestDataInSYN(t *testing.T) {
	f := newFarm(t, arrangement{})
	for n, value := range map[*lab.Namespace]int{
		f.Client: fastOpenClient, f.Balancer: fastOpenClient, f.Backends[0].Namespace: fastOpenServer, f.Backends[1].Namespace: fastOpenServer,
	} {
		must(t, n.Sysctl("net/ipv4/tcp_fastopen", fmt.Sprint(value)))
		if err := n.Sysctl("net/ipv4/tcp_fastopen_blackhole_timeout_sec", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	v := f.vips[0]
	arrived := make(chan net.Conn, 16)
	for i, b := range v.Backends {
		v.servers[i].Kill()
		for _, addr := range b.Addrs.All() {
			l, err := b.Listen(t.Context(), netip.AddrPortFrom(addr, 21))
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					arrived <- c
				}
			}()
		}
	}
	accept := func(t *testing.T) net.Conn {
		t.Helper()
		select {
		case c := <-arrived:
			t.Cleanup(func() { _ = c.Close() })
			return c
		case <-time.After(30 * time.Second):
			t.Fatal("no server was reached")
			return nil
		}
	}
	for _, family := range configs.Families {
		for _, tt := range []struct{ name, line string }{{"command", "NOOP\r\n"}, {"bounce", victimPort}} {
			t.Run(fmt.Sprintf("IPv%d/%s", family, tt.name), func(t *testing.T) {
				c, err := fastOpen(f.Client, v.at(family), tt.line)
				must(t, err)
				defer func() { _ = c.Close() }()
				server := accept(t)
				if tookSYNData(t, server) {
					t.Error("the server took data out of the SYN")
				}
				must(t, server.SetReadDeadline(time.Now().Add(30*time.Second)))
				got := make([]byte, len(tt.line))
				_, err = io.ReadFull(server, got)
				must(t, err)
				if strings.Contains(string(got), "10,2,0,12") || tt.name == "command" && string(got) != tt.line {
					t.Errorf("the server reads %q", got)
				}
				say(t, server, "220 ready\r\n")
				hear(t, c, "220 ready\r\n")
				say(t, c, "SYST\r\n")
				hear(t, server, "SYST\r\n")
			})
		}
		t.Run(fmt.Sprintf("IPv%d/not through us", family), func(t *testing.T) { // what it is like without the helper
			c, err := fastOpen(f.Balancer, netip.AddrPortFrom(v.Backends[0].Addrs.Of(family), 21), "NOOP\r\n")
			must(t, err)
			defer func() { _ = c.Close() }()
			if !tookSYNData(t, accept(t)) {
				t.Error("no data in the SYN: the test shows nothing")
			}
		})
	}
}
