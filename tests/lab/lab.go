package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftpvip/configs"
)

// Arm is how the balancer sits in the network.
type Arm string

// The arms.
const (
	// TwoArm: the balancer is the backends' default route, so replies come back through it by themselves.
	TwoArm Arm = "two-arm"
	// OneArm: the balancer is a host in the backends' subnet and their default route is another router, so
	// replies come back only if the balancer puts an address of its own in front of the client's.
	OneArm Arm = "one-arm"
)

// Options says what New builds. The zero value is a two-arm lab with two backends and no firewall.
type Options struct {
	Name           string // prefix of all namespace names, for several labs at a time
	Arm            Arm
	Backends       int  // default 2
	Clients        int  // client addresses of each family; default 1
	VIPs           int  // virtual IPs; default 1
	Firewall       bool // the admin's own `policy drop` firewall on the balancer; needs nft
	ClientFirewall bool // the client takes new connections from the VIPs only; needs nft
	Log            func(line string)
}

// Lab is a network with a client, a balancer and backends.
type Lab struct {
	Arm      Arm
	Client   *Namespace
	Balancer *Namespace
	Backends []*Backend

	ClientAddrs  []configs.Addrs // what connections may come from; [0] is the default
	VIPs         []configs.Addrs
	BalancerLAN  configs.Addrs // the balancer's address in the backends' subnet
	BalancerSNAT configs.Addrs // a second one, in one-arm labs, for `snat` with an address; its text is longer than the clients'

	Dir string // for files of the lab; gone when the lab is

	log    func(string)
	prefix string
	all    []*Namespace
	fabric *Namespace // the Ethernet switch
	ctx    context.Context
	cancel context.CancelFunc
}

// Backend is a host that serves files.
type Backend struct {
	*Namespace
	Addrs configs.Addrs
}

// Where things are. The documentation prefixes (RFC 5737, RFC 3849) stand for the internet.
const (
	client4, client6 = "198.51.100.", "2001:db8:1::" // client 11.., balancer or router 1
	lan4, lan6       = "10.2.0.", "fd00::"           // backends 11.., balancer 1, router 254
	snat4, snat6     = "10.200.100.", "fd00::"       // balancer 105, in the same subnet
	vip4, vip6       = "192.0.2.", "2001:db8::"      // 10, 20, ..
)

func pair(net4, net6 string, n int) configs.Addrs {
	return configs.Addrs{
		V4: netip.MustParseAddr(fmt.Sprintf("%s%d", net4, n)),
		V6: netip.MustParseAddr(fmt.Sprintf("%s%d", net6, n)), // the same digits, though hexadecimal
	}
}

// subnet is a's network, as an interface address; host is the address alone.
func subnet(a netip.Addr) netip.Prefix {
	switch {
	case a.Is6():
		return netip.PrefixFrom(a, 64)
	case a.IsPrivate():
		return netip.PrefixFrom(a, 8)
	default:
		return netip.PrefixFrom(a, 24)
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

var anywhere = map[configs.Family]netip.Prefix{
	configs.IPv4: netip.MustParsePrefix("0.0.0.0/0"),
	configs.IPv6: netip.MustParsePrefix("::/0"),
}

// New builds a lab. Close it when done; the end of ctx kills what was started in it. The error is ErrNeedsRoot
// where the program is not Inside, and a *Missing where Options ask for what this machine has not.
func New(ctx context.Context, o Options) (*Lab, error) {
	if !Inside() {
		return nil, ErrNeedsRoot
	}
	if o.Firewall || o.ClientFirewall {
		if err := NFT.Check(); err != nil {
			return nil, err
		}
	}
	if o.Arm == "" {
		o.Arm = TwoArm
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	l := &Lab{Arm: o.Arm, log: o.Log, prefix: o.Name, BalancerLAN: pair(lan4, lan6, 1), BalancerSNAT: pair(snat4, snat6, 105)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	for i := range max(o.Clients, 1) {
		l.ClientAddrs = append(l.ClientAddrs, pair(client4, client6, 11+i))
	}
	for i := range max(o.VIPs, 1) {
		l.VIPs = append(l.VIPs, pair(vip4, vip6, 10*(i+1)))
	}
	if o.Backends == 0 {
		o.Backends = 2
	}
	if err := l.build(o); err != nil {
		return nil, errors.Join(fmt.Errorf("building the lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(o Options) (err error) {
	if l.Dir, err = os.MkdirTemp("", "lab"); err != nil {
		return err
	}
	if err := os.Chmod(l.Dir, 0o755); err != nil { // servers drop privileges
		return err
	}
	steps := []func() error{l.addHosts(o.Backends), l.addClientSide, l.addVIPs, l.settle}
	if o.Firewall {
		steps = append(steps, func() error { return l.Firewall(AdminFirewall) })
	}
	if o.ClientFirewall {
		steps = append(steps, l.guardClient)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) add(name string) (*Namespace, error) {
	n, err := newNamespace(l.prefix+name, l.log)
	if err != nil {
		return nil, err
	}
	l.all = append(l.all, n)
	return n, nil
}

// forward makes a namespace a router.
func forward(n *Namespace) error {
	return errors.Join(n.Sysctl("net/ipv4/ip_forward", "1"), n.Sysctl("net/ipv6/conf/all/forwarding", "1"))
}

// addHosts makes the client, the balancer and the backends' subnet with everyone on it.
func (l *Lab) addHosts(backends int) func() error {
	return func() (err error) {
		if l.Client, err = l.add("client"); err != nil {
			return err
		}
		if l.Balancer, err = l.add("balancer"); err != nil {
			return err
		}
		if l.fabric, err = l.add("switch"); err != nil {
			return err
		}
		if err := l.fabric.bridge("br0"); err != nil {
			return err
		}
		addrs := []configs.Addrs{l.BalancerLAN}
		if l.Arm == OneArm {
			addrs = append(addrs, l.BalancerSNAT)
		}
		if err := l.join(l.Balancer, addrs...); err != nil {
			return err
		}
		for i := range backends {
			n, err := l.add(fmt.Sprintf("backend%d", i+1))
			if err != nil {
				return err
			}
			b := &Backend{Namespace: n, Addrs: pair(lan4, lan6, 11+i)}
			if err := l.join(n, b.Addrs); err != nil {
				return err
			}
			l.Backends = append(l.Backends, b)
		}
		return forward(l.Balancer)
	}
}

// join plugs a host into the backends' subnet; its link is lan0.
func (l *Lab) join(n *Namespace, addrs ...configs.Addrs) error {
	port := strings.TrimPrefix(n.Name, l.prefix)
	if err := connect(n, "lan0", l.fabric, port); err != nil {
		return err
	}
	if err := l.fabric.plug(port, "br0"); err != nil {
		return err
	}
	for i, a := range addrs {
		for _, addr := range a.All() {
			if err := n.addAddr("lan0", subnet(addr), i > 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// addClientSide links the client with the balancer (two-arm) or with a router of its own (one-arm), and sets the
// default routes accordingly.
func (l *Lab) addClientSide() error {
	gateway, wan := l.Balancer, pair(client4, client6, 1) // the client's default route
	lan := l.BalancerLAN                                  // the backends' default route
	if l.Arm == OneArm {
		router, err := l.add("router")
		if err != nil {
			return err
		}
		lan = configs.Addrs{V4: netip.MustParseAddr(lan4 + "254"), V6: netip.MustParseAddr(lan6 + "254")}
		if err := l.join(router, lan); err != nil {
			return err
		}
		if err := forward(router); err != nil {
			return err
		}
		for _, f := range configs.Families {
			for _, vip := range l.VIPs {
				if err := router.route(host(vip.Of(f)), l.BalancerLAN.Of(f)); err != nil {
					return err
				}
			}
			if err := l.Balancer.route(anywhere[f], lan.Of(f)); err != nil {
				return err
			}
		}
		// What comes in and goes out by the same link is meant to.
		for _, dev := range []string{"all", "lan0"} {
			if err := l.Balancer.Sysctl("net/ipv4/conf/"+dev+"/send_redirects", "0"); err != nil {
				return err
			}
		}
		gateway = router
	}
	if err := connect(l.Client, "wan0", gateway, "wan0"); err != nil {
		return err
	}
	for _, f := range configs.Families {
		if err := gateway.addr("wan0", subnet(wan.Of(f))); err != nil {
			return err
		}
		for i, c := range l.ClientAddrs {
			if err := l.Client.addAddr("wan0", subnet(c.Of(f)), i > 0); err != nil {
				return err
			}
		}
		if err := l.Client.route(anywhere[f], wan.Of(f)); err != nil {
			return err
		}
		for _, b := range l.Backends {
			if err := b.route(anywhere[f], lan.Of(f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// addVIPs makes the VIPs addresses of the balancer.
func (l *Lab) addVIPs() error {
	for _, vip := range l.VIPs {
		for _, addr := range vip.All() {
			if err := l.Balancer.addr("lo", host(addr)); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle waits until every address may be used.
func (l *Lab) settle() error {
	deadline := time.Now().Add(15 * time.Second)
	for {
		var waiting []string
		for _, n := range l.all {
			list, err := n.tentative()
			if err != nil {
				return err
			}
			waiting = append(waiting, list...)
		}
		if len(waiting) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still tentative: %s", strings.Join(waiting, ", "))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Context ends when the lab is closed.
func (l *Lab) Context() context.Context { return l.ctx }

// Mkdir makes a folder of the lab that every user may read.
func (l *Lab) Mkdir(name string) (string, error) {
	dir := filepath.Join(l.Dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Close kills what still runs in the lab and removes its namespaces.
func (l *Lab) Close() error {
	l.cancel()
	var errs []error
	for _, n := range l.all {
		n.killAll()
		errs = append(errs, n.close())
	}
	l.all = nil
	return errors.Join(append(errs, os.RemoveAll(l.Dir))...)
}
