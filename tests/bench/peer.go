package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"ftpvip/tests/lab"
)

// clients is how many addresses the clients have: enough that no quota for one client is reached.
const clients = 50

// kind is a way to put an FTP server behind a VIP.
type kind struct {
	key      string // in JSON
	title    string // in the table
	rewrites bool   // 227 replies name the VIP; otherwise they name the backend
	// exclusive kinds register a conntrack helper named ftp, of which the kernel has one at most.
	exclusive bool
	// optional kinds may be missing on a machine; the report says why.
	optional bool
	check    func() error // whether this machine can do it
	on       func(context.Context, *peer) error
	off      func(context.Context, *peer) error // nil: it may stay on
}

// peer is a kind at work in a lab of its own.
type peer struct {
	kind
	lab    *lab.Lab
	helper *lab.Process // nil where no process is part of it
	active bool
}

// newPeer builds a lab with one backend and the responder on it. The peer is not active yet.
func newPeer(ctx context.Context, k kind, prefix string) (*peer, error) {
	if k.check != nil {
		if err := k.check(); err != nil {
			return nil, err
		}
	}
	l, err := newLab(ctx, lab.Options{Name: prefix + k.key + "-", Backends: 1, Clients: clients})
	if err != nil {
		return nil, err
	}
	p := &peer{kind: k, lab: l}
	err = errors.Join(
		l.Client.Sysctl("net/ipv4/ip_local_port_range", "1024 65535"),
		l.Backends[0].Sysctl("net/core/somaxconn", "4096"),
		startResponder(l),
	)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// newLab is lab.New. While addresses come and go a list of them may be incomplete, and that is worth another try.
func newLab(ctx context.Context, o lab.Options) (l *lab.Lab, err error) {
	for range 10 {
		if l, err = lab.New(ctx, o); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return l, err
}

func (p *peer) close() error { return p.lab.Close() }

func (p *peer) vip() netip.AddrPort { return netip.AddrPortFrom(p.lab.VIPs[0].V4, ftpPort) }

func (p *peer) backend() netip.Addr { return p.lab.Backends[0].Addrs.V4 }

// want is the address that 227 replies have to name.
func (p *peer) want() netip.Addr {
	if p.rewrites {
		return p.vip().Addr()
	}
	return p.backend()
}

// activate makes the peer carry sessions.
func (p *peer) activate(ctx context.Context) error {
	if p.active {
		return nil
	}
	if err := p.on(ctx, p); err != nil {
		return fmt.Errorf("setting up %s: %w", p.title, err)
	}
	p.active = true
	return nil
}

// deactivate gives back what another peer needs.
func (p *peer) deactivate(ctx context.Context) error {
	if !p.active || p.off == nil {
		return nil
	}
	p.active = false
	if err := p.off(ctx, p); err != nil {
		return fmt.Errorf("taking down %s: %w", p.title, err)
	}
	return nil
}

// forget empties the balancer's table of connections.
func (p *peer) forget() error {
	return p.lab.Balancer.Do(func() error {
		if err := netlink.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
			return fmt.Errorf("flushing conntrack's table: %w", err)
		}
		return nil
	})
}

// run runs a program on the balancer, which has to end with status 0.
func (p *peer) run(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := p.lab.Balancer.Run(ctx, lab.Command{Args: args})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s", r)
	}
	return err
}

// retry runs a program until it succeeds: the kernel lets go of a deleted rule's helper only after a while.
func (p *peer) retry(ctx context.Context, args ...string) error {
	for deadline := time.Now().Add(patience); ; {
		err := p.run(ctx, args...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// queued returns how many packets the balancer's kernel has handed to userspace.
func (p *peer) queued() (total int, err error) {
	text, err := p.queues()
	if err != nil {
		return 0, err
	}
	return countQueued(text)
}

func (p *peer) queues() (text string, err error) {
	return text, p.lab.Balancer.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
		if errors.Is(err, os.ErrNotExist) {
			return nil // nfnetlink_queue is not loaded
		}
		text = string(b)
		return err
	})
}

// countQueued adds up the packets of all queues: the number that the last one of each got (id_sequence in
// seq_show, net/netfilter/nfnetlink_queue.c).
func countQueued(text string) (total int, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return 0, fmt.Errorf("unreadable line in nfnetlink_queue: %q", line)
		}
		n, err := strconv.Atoi(fields[7])
		if err != nil {
			return 0, fmt.Errorf("unreadable line in nfnetlink_queue: %q: %w", line, err)
		}
		total += n
	}
	return total, nil
}

// resident returns how many bytes of memory the helper's process has.
func (p *peer) resident() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.helper.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(string(bytes.TrimSpace(rest)), " kB"))
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in the status of process %d", p.helper.Pid())
}
