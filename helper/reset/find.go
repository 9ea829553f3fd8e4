// Package reset finds the connections of a backend's sessions in conntrack, and ends them with a reset at both ends.
//
//	find.go      which connections are a backend's (pure)
//	packet.go    packets that make a silent end say something (pure)
//	reset.go     the course of an ending
//	kernel.go    conntrack and raw sockets
package reset

import (
	"net/netip"
	"slices"

	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
	"ftpvip/helper/track"
)

// Kind is what a connection is to a session.
type kind uint8

const (
	none kind = iota
	control
	data
)

// finder tells connections of some backends from all others.
type finder struct {
	vips     map[netip.AddrPort]bool               // of the pools of the backends
	backends map[endpoints]bool                    // through a VIP, to a backend
	addrs    map[netip.Addr]bool                   // of the backends
	servers  map[netip.AddrPort]bool               // the same with their ports
	slices   map[[2]netip.Addr][]configs.PortRange // passive slices, by addresses of VIP and backend
	controls map[[2]netip.AddrPort]endpoints       // all control connections through the VIPs, as conntrack has them
}

// endpoints are a VIP's and a backend's address and port.
type endpoints struct{ vip, backend netip.AddrPort }

func newFinder(cfg *configs.Config, refs []configs.Ref) *finder {
	f := &finder{
		vips: map[netip.AddrPort]bool{}, backends: map[endpoints]bool{}, addrs: map[netip.Addr]bool{}, servers: map[netip.AddrPort]bool{},
		slices: map[[2]netip.Addr][]configs.PortRange{}, controls: map[[2]netip.AddrPort]endpoints{},
	}
	for _, ref := range refs {
		b := cfg.Backend(ref)
		if b == nil {
			continue
		}
		pool := cfg.Pool(ref.Pool)
		for _, v := range pool.VIPs {
			for _, family := range configs.Families {
				if serves(v, pool, b, family) {
					f.add(v, b, v.Addrs.Of(family), b.Addrs.Of(family))
				}
			}
		}
	}
	return f
}

// serves reports whether a VIP's sessions at the address of a backend of that pool are the backend's: the pool is the VIP's,
// or one that it falls back to. Where pools share a server, its sessions are those of the first pool.
func serves(v *configs.VIP, pool *configs.Pool, b *configs.Backend, family configs.Family) bool {
	at := netip.AddrPortFrom(b.Addrs.Of(family), b.Port)
	for _, p := range v.Pool.Chain() {
		if p == pool {
			return true
		}
		if slices.ContainsFunc(p.Backends, func(o configs.Backend) bool {
			return netip.AddrPortFrom(o.Addrs.Of(family), o.Port) == at
		}) {
			return false
		}
	}
	return false
}

func (f *finder) add(v *configs.VIP, b *configs.Backend, vip, backend netip.Addr) {
	if !vip.IsValid() || !backend.IsValid() {
		return
	}
	at := netip.AddrPortFrom(vip, v.Port)
	f.vips[at] = true
	f.backends[endpoints{at, netip.AddrPortFrom(backend, b.Port)}] = true
	f.addrs[backend] = true
	f.servers[netip.AddrPortFrom(backend, b.Port)] = true
	if !b.PassivePorts.IsZero() {
		pair := [2]netip.Addr{vip, backend}
		f.slices[pair] = append(f.slices[pair], b.PassivePorts)
	}
}

// learn notes the control connections among all that conntrack has.
func (f *finder) learn(flows []conntrack.Flow) {
	for i := range flows {
		orig, reply := &flows[i].TupleOrig, &flows[i].TupleReply
		key := [2]netip.AddrPort{track.Source(*orig), track.Destination(*orig)}
		switch {
		case f.vips[track.Destination(*orig)]:
			f.controls[key] = endpoints{track.Destination(*orig), track.Source(*reply)}
		case f.reversed(&flows[i]):
			f.controls[key] = endpoints{track.Destination(*reply), track.Source(*orig)}
		}
	}
}

// kind tells what a connection is to the backends. Conntrack names the control connection of each data connection that
// was expected, also after the control connection has gone; then the backend's address must do.
func (f *finder) kind(flow *conntrack.Flow) kind {
	vip, backend := track.Destination(flow.TupleOrig), track.Source(flow.TupleReply)
	if f.backends[endpoints{vip, backend}] || f.reversed(flow) {
		return control
	}
	for _, ports := range f.slices[[2]netip.Addr{vip.Addr(), backend.Addr()}] {
		if ports.Contains(vip.Port()) {
			return data
		}
	}
	from, at := track.Source(flow.TupleMaster), track.Destination(flow.TupleMaster)
	if of, known := f.controls[[2]netip.AddrPort{from, at}]; known {
		if f.backends[of] {
			return data
		}
		return none
	}
	if f.servers[from] { // of a reversed one
		return data
	}
	if !f.vips[at] {
		return none
	}
	if f.addrs[backend.Addr()] || f.addrs[flow.TupleOrig.IP.SourceAddress] { // passive, active
		return data
	}
	return none
}

// reversed reports whether a control connection of the backends began with the server's packet in conntrack's eyes. Then
// a source group has given it the VIP's address.
func (f *finder) reversed(flow *conntrack.Flow) bool {
	return f.backends[endpoints{track.Destination(flow.TupleReply), track.Source(flow.TupleOrig)}]
}

// States of linux/netfilter/nf_conntrack_tcp.h.
const (
	tcpSynRecv     = 2
	tcpEstablished = 3
	tcpTimeWait    = 7
	tcpClose       = 8
)

func state(f *conntrack.Flow) uint8 {
	if f.ProtoInfo.TCP == nil {
		return 0
	}
	return f.ProtoInfo.TCP.State
}

// Count counts the control connections of one backend through all VIPs of its pool: those that are open, or answered
// and about to be.
func Count(cfg *configs.Config, ref configs.Ref) (int, error) {
	k, err := openKernel(false)
	if err != nil {
		return 0, err
	}
	defer k.close()
	flows, err := k.dump()
	if err != nil {
		return 0, err
	}
	f, n := newFinder(cfg, []configs.Ref{ref}), 0
	for i := range flows {
		if s := state(&flows[i]); (s == tcpSynRecv || s == tcpEstablished) && f.kind(&flows[i]) == control {
			n++
		}
	}
	return n, nil
}
