package observe

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
	"ftpvip/helper/track"
)

// Way is a VIP and the backend that a connection to it went to.
type Way struct {
	VIP, Backend netip.AddrPort
}

// Flow counts conntrack's entries of one Way.
type Flow struct {
	Answered   int // the backend's answer came through this host
	Unanswered int // the client's SYN went to the backend, and for longer than a moment no answer came
}

// answerTime is what a backend gets to answer a SYN, before the connection counts as unanswered.
const answerTime = time.Second

// Flows counts the connections to the VIPs of a configuration. Where some are unanswered it looks again after a second.
func Flows(ctx context.Context, cfg *configs.Config) (map[Way]Flow, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }()
	vips := map[netip.AddrPort]bool{}
	for i := range cfg.VIPs {
		for _, a := range cfg.VIPs[i].Addrs.All() {
			vips[netip.AddrPortFrom(a, cfg.VIPs[i].Port)] = true
		}
	}
	answered, first, err := dumpFlows(conn, vips)
	if err != nil {
		return nil, err
	}
	flows := map[Way]Flow{}
	if len(first) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(answerTime):
		}
		var second map[uint32]Way
		if answered, second, err = dumpFlows(conn, vips); err != nil {
			return nil, err
		}
		for id, w := range second {
			if first[id] == w {
				f := flows[w]
				f.Unanswered++
				flows[w] = f
			}
		}
	}
	for w, n := range answered {
		f := flows[w]
		f.Answered = n
		flows[w] = f
	}
	return flows, nil
}

// dumpFlows counts the answered connections, and lists the others by conntrack's number of them.
func dumpFlows(conn *conntrack.Conn, vips map[netip.AddrPort]bool) (answered map[Way]int, open map[uint32]Way, err error) {
	flows, err := conn.Dump(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("listing conntrack's connections: %w", err)
	}
	answered, open = map[Way]int{}, map[uint32]Way{}
	for i := range flows {
		f := &flows[i]
		c := track.ConnectionOf(f)
		if !vips[c.VIP] {
			c = c.Turned() // where conntrack saw the server's packet first
		}
		w := Way{c.VIP, c.Backend}
		switch {
		case !vips[c.VIP]:
		case f.Status.SeenReply():
			answered[w]++
		case track.SynSent(f):
			open[f.ID] = w
		}
	}
	return answered, open, nil
}

// ControlConnections counts the connections to each VIP address that conntrack knows, by backend address. Only
// connections that were answered and have not been closed count.
func ControlConnections(cfg *configs.Config) (map[netip.AddrPort]map[netip.AddrPort]int, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }()
	flows, err := conn.Dump(nil)
	if err != nil {
		return nil, fmt.Errorf("listing conntrack's connections: %w", err)
	}
	counts := map[netip.AddrPort]map[netip.AddrPort]int{}
	for i := range cfg.VIPs {
		for _, a := range cfg.VIPs[i].Addrs.All() {
			counts[netip.AddrPortFrom(a, cfg.VIPs[i].Port)] = map[netip.AddrPort]int{}
		}
	}
	for i := range flows {
		c := track.ConnectionOf(&flows[i])
		if counts[c.VIP] == nil {
			c = c.Turned() // where conntrack saw the server's packet first
		}
		backends, ours := counts[c.VIP]
		if !ours || !flows[i].Status.SeenReply() || !track.Established(&flows[i]) {
			continue
		}
		backends[c.Backend]++
	}
	return counts, nil
}
