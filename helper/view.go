package helper

import (
	"cmp"
	"net/netip"
	"slices"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

// view is a configuration, indexed by the addresses in packets.
type view struct {
	vips   map[netip.AddrPort]*vipView
	limits configs.Helper // of which the quotas are followed
}

// vipView is one VIP in one family.
type vipView struct {
	name     string
	policy   ftp.Policy // without the backend's aliases
	backends map[netip.AddrPort]*target
}

// target is a backend behind a VIP. All sessions between the two share it.
type target struct {
	vip, backend string // their names
	policy       ftp.Policy
}

func newView(cfg *configs.Config) *view {
	v := &view{vips: map[netip.AddrPort]*vipView{}, limits: cfg.Helper}
	for i := range cfg.VIPs {
		vip := &cfg.VIPs[i]
		if vip.Application != configs.FTPControl {
			continue
		}
		for _, f := range configs.Families {
			addr := vip.Addrs.Of(f)
			if !addr.IsValid() {
				continue
			}
			view := &vipView{
				name: vip.Name,
				policy: ftp.Policy{
					Advertise: advertise(vip, f), AdvertiseTo: advertiseTo(vip, f), RefuseTLS: vip.RefuseTLS,
					Range:    ftp.Ports{First: vip.PassiveRange.First, Last: vip.PassiveRange.Last},
					Reserved: reserved(cfg, addr), PortsMin: vip.PortsMin,
					FXPAllow: vip.FXP == configs.FXPAllow, DataSourceAny: vip.DataSource == configs.SourceAny,
				},
				backends: map[netip.AddrPort]*target{},
			}
			for _, pool := range vip.Pool.Chain() {
				view.add(pool, f)
			}
			v.vips[netip.AddrPortFrom(addr, vip.Port)] = view
		}
	}
	return v
}

// find returns the VIP of a conntrack entry, and its connection as the client sees it. The VIP is nil if there is none.
func (v *view) find(entry track.Connection) (track.Connection, *vipView) {
	if vip := v.vips[entry.VIP]; vip != nil {
		return entry, vip
	}
	if turned := entry.Turned(); v.vips[turned.VIP] != nil {
		return turned, v.vips[turned.VIP]
	}
	return entry, nil
}

// serves reports whether an address is a server's.
func (v *view) serves(a netip.AddrPort) bool {
	for _, vip := range v.vips {
		if vip.backends[a] != nil {
			return true
		}
	}
	return false
}

// adds reports whether v has a VIP that an older view has not.
func (v *view) adds(older *view) bool {
	for vip := range v.vips {
		if older.vips[vip] == nil {
			return true
		}
	}
	return false
}

// add makes the backends of a pool known. Where a fallback has a server that the pool has as well, the pool's own
// settings hold.
func (v *vipView) add(pool *configs.Pool, f configs.Family) {
	for i := range pool.Backends {
		b := &pool.Backends[i]
		a := b.Addrs.Of(f)
		if at := netip.AddrPortFrom(a, b.Port); a.IsValid() && v.backends[at] == nil {
			t := &target{vip: v.name, backend: b.Name, policy: v.policy}
			t.policy.Aliases = slices.Concat(b.Aliases, b.Addrs.All())
			t.policy.Slice = ftp.Ports{First: b.PassivePorts.First, Last: b.PassivePorts.Last}
			v.backends[at] = t
		}
	}
}

// advertise is what a 227 names; there is no such thing in IPv6, where a 229 names no address.
func advertise(vip *configs.VIP, f configs.Family) netip.Addr {
	if f == configs.IPv4 && vip.Advertise.IsValid() {
		return vip.Advertise
	}
	return vip.Addrs.Of(f)
}

// advertiseTo is the same for some clients.
func advertiseTo(vip *configs.VIP, f configs.Family) (list []ftp.Advertise) {
	if f != configs.IPv4 {
		return nil
	}
	for _, a := range vip.AdvertiseTo {
		if !a.Address.IsValid() {
			a.Address = vip.Addrs.V4
		}
		list = append(list, ftp.Advertise(a))
	}
	return list
}

// reserved returns which ports of an address are taken by VIPs and by passive slices.
func reserved(cfg *configs.Config, addr netip.Addr) func(port uint16) bool {
	var taken []configs.PortRange
	for i := range cfg.VIPs {
		vip := &cfg.VIPs[i]
		if !vip.Addrs.Has(addr) {
			continue
		}
		taken = append(taken, configs.PortRange{First: vip.Port, Last: vip.Port})
		for _, pool := range vip.Pool.Chain() {
			for _, b := range pool.Backends {
				if !b.PassivePorts.IsZero() {
					taken = append(taken, b.PassivePorts)
				}
			}
		}
	}
	return within(taken)
}

// within reports whether a port is in one of some ranges, however many they are.
func within(ranges []configs.PortRange) func(port uint16) bool {
	slices.SortFunc(ranges, func(a, b configs.PortRange) int { return cmp.Compare(a.First, b.First) })
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && r.First <= merged[n-1].Last {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
			continue
		}
		merged = append(merged, r)
	}
	return func(port uint16) bool {
		i, found := slices.BinarySearchFunc(merged, port, func(r configs.PortRange, p uint16) int { return cmp.Compare(r.First, p) })
		return found || i > 0 && merged[i-1].Contains(port)
	}
}

// target is the backend of a connection. One that is no longer configured may name nothing but itself.
func (v *vipView) target(backend netip.AddrPort) *target {
	if t := v.backends[backend]; t != nil {
		return t
	}
	return &target{vip: v.name, backend: backend.String(), policy: v.policy}
}
