package helper

import (
	"fmt"
	"net/netip"

	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
)

// Sessions counts the control connections of one backend through all VIPs that use its pool: those that are open, or
// being opened and answered already.
func Sessions(cfg *configs.Config, ref configs.Ref) (int, error) {
	backend := cfg.Backend(ref)
	if backend == nil {
		return 0, nil
	}
	at := map[netip.AddrPort]bool{}
	for _, a := range backend.Addrs.All() {
		at[netip.AddrPortFrom(a, backend.Port)] = true
	}
	vips := map[netip.AddrPort]bool{}
	for i := range cfg.VIPs {
		if v := &cfg.VIPs[i]; v.Pool == ref.Pool {
			for _, a := range v.Addrs.All() {
				vips[netip.AddrPortFrom(a, v.Port)] = true
			}
		}
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return 0, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	defer func() { _ = conn.Close() }()
	flows, err := conn.Dump(nil)
	if err != nil {
		return 0, fmt.Errorf("listing conntrack's connections: %w", err)
	}
	n := 0
	for i := range flows {
		c := connectionOf(&flows[i])
		if vips[c.VIP] && at[c.Backend] && running(&flows[i]) {
			n++
		}
	}
	return n, nil
}

// tcpSynRecv is TCP_CONNTRACK_SYN_RECV of linux/netfilter/nf_conntrack_tcp.h.
const tcpSynRecv = 2

func running(f *conntrack.Flow) bool {
	return f.ProtoInfo.TCP != nil && (f.ProtoInfo.TCP.State == tcpSynRecv || f.ProtoInfo.TCP.State == tcpEstablished)
}
