package doctor

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
)

// need is what a packet needs of a firewall.
type need string

// The needs. All of those with an established or related connection are met by one rule.
const (
	needControl     need = "new control connections"
	needSlice       need = "new data connections to the passive ports"
	needReplies     need = "answers on control connections"
	needPassive     need = "passive data connections (related)"
	needData        need = "packets of data connections (established)"
	needActive      need = "active data connections that backends open (related)"
	needICMP        need = "ICMP errors (related), by which path MTU discovery works"
	needCheck       need = "health checks"
	needCheckAnswer need = "answers to health checks"
	needNeighbours  need = "IPv6 neighbour discovery"
)

// probe is one packet and the base chains that it has to pass.
type probe struct {
	need   need
	hook   rules.Hook
	packet walk.Packet
}

// priorities of the kernel's own work (linux/netfilter_ipv4.h).
const (
	priorityConntrack = -200
	priorityDstNAT    = -100
)

// at is the packet as a chain sees it.
func (p *probe) at(c *walk.Chain) *walk.Packet {
	q := p.packet
	if p.hook == rules.HookPrerouting {
		if c.Base.Priority < priorityConntrack {
			q.State, q.StatusKnown = walk.StateInvalid, 0 // conntrack has not seen it: nft calls that invalid
		}
		if c.Base.Priority <= priorityDstNAT {
			q.Dst, q.DstLocal, q.DstNotLocal = q.OriginalDst, false, false
			if p.packet.Reply {
				q.Dst = netip.AddrPort{}
			}
		}
	}
	return &q
}

// Ports that stand for the ones that clients and servers choose. A rule may let some through and not others.
const (
	clientPort = 40011
	activePort = 20 // what data connections come from, by RFC 959; many servers take another
)

var dataPorts = []uint16{10007, 33333, 50021}

// viewOf makes a packet's view of a link.
func (f *Facts) viewOf(name string) *walk.Link {
	l := &walk.Link{Name: name}
	if known := f.link(name); known != nil {
		l.Index = known.Index
	}
	return l
}

// probes lists the packets of a service whose clients come by a link.
func (f *Facts) probes(s service, client string) []probe {
	in, out := f.viewOf(client), f.viewOf(s.route.Link)
	from := netip.AddrPortFrom(f.Client, clientPort)
	base := walk.Packet{Family: s.family, Proto: unix.IPPROTO_TCP, DstNotLocal: true}
	const all = walk.StatusDNAT | walk.StatusExpected | walk.StatusSNAT

	there := base // from the client to the backend
	there.In, there.Out, there.Src, there.Dst = in, out, from, s.to
	there.OriginalSrc, there.OriginalDst = from, s.at
	there.Status, there.StatusKnown = walk.StatusDNAT, all&^walk.StatusSNAT
	back := base // the other way
	back.In, back.Out, back.Src, back.Dst = out, in, s.to, from
	back.OriginalSrc, back.OriginalDst, back.Reply = from, s.at, true
	back.Status, back.StatusKnown, back.State = walk.StatusDNAT, all&^walk.StatusSNAT, walk.StateEstablished
	at := func(p walk.Packet, src, dst uint16) walk.Packet {
		p.Src, p.Dst = netip.AddrPortFrom(p.Src.Addr(), src), netip.AddrPortFrom(p.Dst.Addr(), dst)
		return p
	}
	as := func(p walk.Packet, state uint32, syn bool) walk.Packet {
		p.State, p.SYN = state, syn
		return p
	}
	announced := func(p walk.Packet) walk.Packet {
		p.Expected, p.Helper = true, f.carrier()
		return p
	}
	list := f.way(nil, needControl, s, as(there, walk.StateNew, true))
	list = f.way(list, needReplies, s, back)
	if !s.backend.PassivePorts.IsZero() {
		slice := as(there, walk.StateNew, true)
		slice.Dst = netip.AddrPortFrom(s.to.Addr(), s.backend.PassivePorts.First)
		slice.OriginalDst = netip.AddrPortFrom(s.at.Addr(), s.backend.PassivePorts.First)
		list = f.way(list, needSlice, s, slice)
	}
	if s.vip.Application == configs.FTPControl {
		for _, port := range dataPorts {
			passive := at(there, clientPort, port)
			passive.OriginalDst = netip.AddrPortFrom(s.at.Addr(), port)
			passive.Status |= walk.StatusExpected
			list = f.way(list, needPassive, s, announced(as(passive, walk.StateRelated, true)))
			data := at(back, port, clientPort)
			data.OriginalDst = passive.OriginalDst
			list = f.way(list, needData, s, announced(data))
			active := at(back, activePort, port)
			active.OriginalSrc, active.OriginalDst, active.Reply = netip.AddrPort{}, netip.AddrPort{}, false
			active.Status, active.StatusKnown = walk.StatusExpected, walk.StatusExpected
			list = f.way(list, needActive, s, announced(as(active, walk.StateRelated, true)))
		}
	}
	icmp := as(at(there, 0, 0), walk.StateRelated, false)
	icmp.Proto, icmp.ICMP, icmp.Src = unix.IPPROTO_ICMP, 3, netip.AddrPort{} // destination unreachable
	if s.family == configs.IPv6 {
		icmp.Proto, icmp.ICMP = unix.IPPROTO_ICMPV6, 2 // packet too big
	}
	icmp.StatusKnown = 0
	return f.way(list, needICMP, s, icmp)
}

// carrier is the name of the conntrack helper that announces data connections.
func (f *Facts) carrier() string {
	if f.Config.Helper.Carrier == configs.CarrierSane || !f.Kernel.CTHelper {
		return rules.SaneHelperName
	}
	return rules.CTHelperName
}

// way adds a packet at the hooks that it passes.
func (f *Facts) way(list []probe, n need, s service, p walk.Packet) []probe {
	before := p
	before.Out = nil
	if s.route.Kind == Local { // the backend is this host
		in := before
		in.DstLocal, in.DstNotLocal = true, false
		if p.Reply || n == needActive {
			out := p
			out.In = nil
			return append(list, probe{n, rules.HookOutput, out})
		}
		return append(list, probe{n, rules.HookPrerouting, before}, probe{n, rules.HookInput, in})
	}
	after := p
	after.In = nil
	return append(list, probe{n, rules.HookPrerouting, before}, probe{n, rules.HookForward, p}, probe{n, rules.HookPostrouting, after})
}

// checks lists the packets of health checks.
func (f *Facts) checks(s service) []probe {
	if s.pool.Health.Check == configs.CheckNone || s.route.Kind == Local {
		return nil
	}
	out := walk.Packet{
		Family: s.family, Proto: unix.IPPROTO_TCP, Out: f.viewOf(s.route.Link), Dst: s.to, OriginalDst: s.to, DstNotLocal: true, SYN: true,
		State: walk.StateNew, StatusKnown: walk.StatusDNAT | walk.StatusExpected,
	}
	in := walk.Packet{
		Family: s.family, Proto: unix.IPPROTO_TCP, In: f.viewOf(s.route.Link), Src: s.to, OriginalDst: s.to, Reply: true, DstLocal: true,
		State: walk.StateEstablished, StatusKnown: walk.StatusDNAT | walk.StatusExpected,
	}
	if s.route.Src.IsValid() {
		out.Src, in.Dst = netip.AddrPortFrom(s.route.Src, 0), netip.AddrPortFrom(s.route.Src, 0)
	}
	return []probe{{needCheck, rules.HookOutput, out}, {needCheckAnswer, rules.HookInput, in}}
}

// neighbours lists the messages by which hosts find each other on a link with IPv6.
func (f *Facts) neighbours(s service, link string) []probe {
	if s.family != configs.IPv6 {
		return nil
	}
	var list []probe
	for _, kind := range []uint8{135, 136} { // solicitation and advertisement, RFC 4861
		p := walk.Packet{Family: s.family, Proto: unix.IPPROTO_ICMPV6, ICMP: kind, Hops: 255, State: walk.StateUntracked}
		in, out := p, p
		in.In, out.Out = f.viewOf(link), f.viewOf(link)
		list = append(list, probe{needNeighbours, rules.HookInput, in}, probe{needNeighbours, rules.HookOutput, out})
	}
	return list
}

// tooBig is the ICMP error that this host itself sends where links differ in their MTU.
func (f *Facts) tooBig(s service) probe {
	p := walk.Packet{
		Family: s.family, Proto: unix.IPPROTO_ICMP, ICMP: 3, Out: f.viewOf(s.route.Link), Dst: netip.AddrPortFrom(s.to.Addr(), 0),
		State: walk.StateRelated,
	}
	if s.family == configs.IPv6 {
		p.Proto, p.ICMP = unix.IPPROTO_ICMPV6, 2
	}
	return probe{needICMP, rules.HookOutput, p}
}
