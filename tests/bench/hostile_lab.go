package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// What stands before a hostile client comes.
const (
	crowdSessions = 10000 // idle ones
	crowdPending  = 4000  // of them, those that wait for a data connection, where the kernel has room
	probeAddrs    = 10
	expectSpare   = 160 // of the kernel's expectations, for the probes, of which some are not forgotten yet
)

// The VIPs of a front: for those who behave, for the hostile client, and one that no helper reads.
const (
	goodVIP = iota
	badVIP
	plainVIP
	numVIPs
)

// front is a lab with one ftpvip and its idle sessions.
type front struct {
	arm     lab.Arm
	title   string // which ftpvip
	lab     *lab.Lab
	helper  *lab.Helper
	crowd   *crowd
	pending int // how many wait for a data connection
}

// newFront builds one with the program at path. Good and bad clients have a server each.
func newFront(ctx context.Context, arm lab.Arm, path, title string) (f *front, err error) {
	l, err := newLab(ctx, lab.Options{
		Name: strings.ReplaceAll(string(arm), "-", "") + title + "-", Arm: arm, Backends: 2, Clients: clients + 1 + probeAddrs, VIPs: numVIPs,
	})
	if err != nil {
		return nil, err
	}
	f = &front{arm: arm, title: title, lab: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	for i, kind := range []string{childRespond, childYield} {
		b := l.Backends[i]
		err := errors.Join(
			b.Sysctl("net/core/somaxconn", "4096"),
			startChild(l.Context(), b.Namespace, kind, b.Addrs.V4.String()),
		)
		if err != nil {
			return f, err
		}
	}
	if err := l.Client.Sysctl("net/ipv4/ip_local_port_range", "1024 65535"); err != nil {
		return f, err
	}
	program, err := l.Program(path, f.config())
	if err != nil {
		return f, err
	}
	if _, err := program.Do(ctx, "apply"); err != nil {
		return f, err
	}
	if f.helper, err = program.StartHelper(ctx, nil); err != nil {
		return f, err
	}
	return f, nil
}

func (f *front) config() string {
	farm := func(name string, vip, backend int, keys ...string) lab.Farm {
		x := lab.Farm{Name: name, VIP: f.lab.VIPs[vip], Backends: f.lab.Backends[backend : backend+1], Keys: keys, Health: []string{"check: none"}}
		if f.arm == lab.OneArm { // an address with a longer text than the clients'
			x.SNAT = lab.YAMLAddrs(f.lab.BalancerSNAT)
		}
		return x
	}
	plain := farm("plain", plainVIP, 1)
	plain.PoolKeys = []string{"source_group: off"} // the server has one already
	text := lab.Config("", farm("good", goodVIP, 0), farm("bad", badVIP, 1), plain)
	// The third is the same without a helper.
	head, tail, _ := strings.Cut(text, "name: plain")
	return head + "name: plain" + strings.Replace(tail, "application: ftp-control", "application: tcp", 1)
}

func (f *front) at(vip int) netip.AddrPort { return netip.AddrPortFrom(f.lab.VIPs[vip].V4, ftpPort) }

func (f *front) hostile() netip.Addr { return f.lab.ClientAddrs[0].V4 }

func (f *front) addrs(from, to int) (list []netip.Addr) {
	for _, a := range f.lab.ClientAddrs[from:to] {
		list = append(list, a.V4)
	}
	return list
}

// fill has the idle sessions log in; some wait for data connections.
func (f *front) fill(sessions, pending int) error {
	return f.lab.Client.Do(func() error {
		l, err := newLoop()
		if err != nil {
			return err
		}
		c := &crowd{loop: l, vip: f.at(goodVIP), user: userNumbers, want: f.at(goodVIP).Addr(), from: f.addrs(1, 1+clients)}
		f.crowd = c
		arrived := 0
		c.entered = func() (stay bool) {
			if f.pending++; f.pending > pending {
				arrived++
				return true
			}
			return false
		}
		c.named = func(*visitor) { arrived++ }
		if err := c.assemble(sessions, &arrived, func(*visitor) {}); err != nil {
			return fmt.Errorf("%w (%d of %d are there)", err, arrived, sessions)
		}
		return c.verdict()
	})
}

// room is how many data connections may be pending beside those of the hostile client: the kernel's limit is for all.
func room(want int) int {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_expect_max")
	if err != nil {
		return want
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return want
	}
	return max(min(want, limit-hostileSessions-expectSpare), 0)
}

// under runs the probes while a hostile client is at a VIP; with an empty manner there is none.
func (f *front) under(m string, vip int, settle, span time.Duration) (took [numAsks][]time.Duration, err error) {
	if m != "" {
		what := strings.Join([]string{m, f.hostile().String(), f.at(vip).String()}, ",")
		p, err := childOf(f.lab.Context(), f.lab.Client, childAttack, what)
		if err != nil {
			return took, fmt.Errorf("the hostile client: %w", err)
		}
		defer func() {
			p.Kill()
			err = errors.Join(err, f.forget())
		}()
	}
	return took, f.lab.Client.Do(func() error {
		l, err := newLoop()
		if err != nil {
			return err
		}
		defer l.close()
		defer pin(clientEnd)()
		w := &watch{loop: l, vip: f.at(goodVIP), from: f.addrs(1+clients, 1+clients+probeAddrs)}
		err = w.observe(settle, span)
		took = w.took
		return err
	})
}

// forget has conntrack forget the hostile client, whose expectations would last as long as its connections.
func (f *front) forget() error {
	return f.lab.Balancer.Do(func() error {
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddIP(netlink.ConntrackOrigSrcIP, f.hostile().AsSlice()); err != nil {
			return err
		}
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter)
		return err
	})
}

func (f *front) close() error {
	if f.crowd != nil {
		f.crowd.loop.close()
	}
	return f.lab.Close()
}
