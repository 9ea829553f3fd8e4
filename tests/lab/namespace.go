package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is one named network namespace, a host of the lab.
type Namespace struct {
	Name   string
	handle netns.NsHandle
	links  *netlink.Handle
	log    func(line string)

	mu      sync.Mutex
	running []*Process
}

// newNamespace makes the network namespace name, with lo up and IPv6 addresses usable at once.
func newNamespace(name string, log func(string)) (*Namespace, error) {
	n := &Namespace{Name: name, handle: netns.None(), log: log}
	log("ip netns add " + name)
	err := onThread(func() error {
		h, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		n.handle = h
		n.links, err = netlink.NewHandle()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", name, err)
	}
	// Without duplicate address detection an IPv6 address is never tentative.
	for _, dev := range []string{"all", "default"} {
		for _, key := range []string{"accept_dad", "dad_transmits", "accept_ra"} {
			if err := n.Sysctl("net/ipv6/conf/"+dev+"/"+key, "0"); err != nil {
				return nil, err
			}
		}
	}
	return n, n.up("lo")
}

// close forgets the namespace; the kernel removes it and its links when its last process has ended.
func (n *Namespace) close() error {
	if n.links != nil {
		n.links.Close()
	}
	_ = n.handle.Close()
	if err := netns.DeleteNamed(n.Name); err != nil {
		return fmt.Errorf("deleting namespace %s: %w", n.Name, err)
	}
	return nil
}

// Do runs f in the namespace. Sockets that f opens belong to the namespace for good; goroutines that it starts do
// not run there.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("entering namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// onThread runs f on an OS thread that f may move to another network namespace.
func onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("looking up the thread's namespace: %w", err)
	}
	defer home.Close()
	defer func() {
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		} // else the thread stays locked, and ends with its goroutine
	}()
	return f()
}

// Dial connects from the namespace over TCP; from may be the zero address.
func (n *Namespace) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return n.DialFrom(ctx, netip.AddrPortFrom(from, 0), to)
}

// DialFrom is Dial from a port that earlier connections may have had, as servers do that use port 20 for all.
func (n *Namespace) DialFrom(ctx context.Context, from, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if from.Addr().IsValid() || from.Port() != 0 {
		d.LocalAddr = &net.TCPAddr{IP: from.Addr().AsSlice(), Port: int(from.Port())}
	}
	if from.Port() != 0 {
		d.Control = reuseAddr
	}
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	return conn, err
}

func reuseAddr(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, set)
}

// Listen listens in the namespace over TCP.
func (n *Namespace) Listen(ctx context.Context, at netip.AddrPort) (*net.TCPListener, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", at.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Sysctl writes a kernel setting, named by its path below /proc/sys.
func (n *Namespace) Sysctl(path, value string) error {
	n.log(fmt.Sprintf("ip netns exec %s sysctl -q %s=%s", n.Name, strings.ReplaceAll(path, "/", "."), value))
	return n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0)
	})
}

// up sets a link up.
func (n *Namespace) up(dev string) error {
	link, err := n.links.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("looking for %s in %s: %w", dev, n.Name, err)
	}
	if err := n.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s in %s up: %w", dev, n.Name, err)
	}
	return nil
}

// connect makes a veth pair between two namespaces; each end is named as given, both are up.
func connect(a *Namespace, aDev string, b *Namespace, bDev string) error {
	a.log(fmt.Sprintf("ip -n %s link add %s up type veth peer name %s netns %s", a.Name, aDev, bDev, b.Name))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = aDev
	err := a.links.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: bDev, PeerNamespace: netlink.NsFd(b.handle)})
	if err != nil {
		return fmt.Errorf("linking %s to %s: %w", a.Name, b.Name, err)
	}
	if err := a.up(aDev); err != nil {
		return err
	}
	return b.up(bDev)
}

// bridge makes an Ethernet switch.
func (n *Namespace) bridge(dev string) error {
	n.log(fmt.Sprintf("ip -n %s link add %s up type bridge", n.Name, dev))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = dev
	if err := n.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("making bridge %s: %w", dev, err)
	}
	return n.up(dev)
}

// plug puts a link on a bridge.
func (n *Namespace) plug(dev, bridge string) error {
	n.log(fmt.Sprintf("ip -n %s link set %s master %s", n.Name, dev, bridge))
	link, err := n.links.LinkByName(dev)
	if err != nil {
		return err
	}
	master, err := n.links.LinkByName(bridge)
	if err != nil {
		return err
	}
	return n.links.LinkSetMaster(link, master)
}

// addr gives a link an address that is usable at once.
func (n *Namespace) addr(dev string, p netip.Prefix) error {
	return n.addAddr(dev, p, false)
}

// addAddr is addr with a choice: connections leave with a deprecated address only when they ask for it.
func (n *Namespace) addAddr(dev string, p netip.Prefix, deprecated bool) error {
	n.log(fmt.Sprintf("ip -n %s addr add %s dev %s", n.Name, p, dev))
	link, err := n.links.LinkByName(dev)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if deprecated {
		a.ValidLft, a.PreferedLft = math.MaxInt32, 0
	}
	if err := n.links.AddrAdd(link, a); err != nil {
		return fmt.Errorf("adding %s to %s in %s: %w", p, dev, n.Name, err)
	}
	return nil
}

// route adds a route; the zero prefix is not allowed, 0.0.0.0/0 and ::/0 are the default routes.
func (n *Namespace) route(to netip.Prefix, via netip.Addr) error {
	n.log(fmt.Sprintf("ip -n %s route add %s via %s", n.Name, to, via))
	r := &netlink.Route{
		Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())},
		Gw:  via.AsSlice(),
	}
	if err := n.links.RouteAdd(r); err != nil {
		return fmt.Errorf("routing %s via %s in %s: %w", to, via, n.Name, err)
	}
	return nil
}

// tentative lists addresses that may not be used yet.
func (n *Namespace) tentative() ([]string, error) {
	addrs, err := n.links.AddrList(nil, netlink.FAMILY_V6)
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return []string{n.Name + " (its addresses are changing)"}, nil // the caller asks again
	}
	if err != nil {
		return nil, fmt.Errorf("listing addresses in %s: %w", n.Name, err)
	}
	var list []string
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			list = append(list, n.Name+" "+a.IPNet.String())
		}
	}
	return list, nil
}
