package helper

import (
	"net/netip"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
)

// view is a configuration as the helper looks at it: by the addresses that packets carry.
type view struct {
	vips   map[netip.AddrPort]*vipView
	limits configs.Helper // of which the quotas are followed
}

// vipView is one VIP in one family.
type vipView struct {
	name     string
	policy   ftp.Policy // without the backend's aliases
	backends map[netip.AddrPort]*configs.Backend
}

func newView(cfg *configs.Config) *view {
	v := &view{vips: map[netip.AddrPort]*vipView{}, limits: cfg.Helper}
	for i := range cfg.VIPs {
		vip := &cfg.VIPs[i]
		if vip.Application != configs.FTPControl {
			continue
		}
		pool := cfg.Pool(vip.Pool)
		for _, f := range configs.Families {
			addr := vip.Addrs.Of(f)
			if !addr.IsValid() {
				continue
			}
			backends := map[netip.AddrPort]*configs.Backend{}
			for j := range pool.Backends {
				b := &pool.Backends[j]
				if a := b.Addrs.Of(f); a.IsValid() {
					backends[netip.AddrPortFrom(a, b.Port)] = b
				}
			}
			v.vips[netip.AddrPortFrom(addr, vip.Port)] = &vipView{
				name: vip.Name,
				policy: ftp.Policy{
					Advertise: advertise(vip, f), Reserved: reserved(cfg, addr), PortsMin: vip.PortsMin,
					FXPAllow: vip.FXP == configs.FXPAllow, DataSourceAny: vip.DataSource == configs.SourceAny,
				},
				backends: backends,
			}
		}
	}
	return v
}

// advertise is what a 227 names; there is no such thing in IPv6, where a 229 names no address.
func advertise(vip *configs.VIP, f configs.Family) netip.Addr {
	if f == configs.IPv4 && vip.Advertise.IsValid() {
		return vip.Advertise
	}
	return vip.Addrs.Of(f)
}

// reserved tells which ports of an address are taken by VIPs and by passive slices.
func reserved(cfg *configs.Config, addr netip.Addr) func(port uint16) bool {
	var taken []configs.PortRange
	for i := range cfg.VIPs {
		vip := &cfg.VIPs[i]
		if !vip.Addrs.Has(addr) {
			continue
		}
		taken = append(taken, configs.PortRange{First: vip.Port, Last: vip.Port})
		for _, b := range cfg.Pool(vip.Pool).Backends {
			if !b.PassivePorts.IsZero() {
				taken = append(taken, b.PassivePorts)
			}
		}
	}
	return func(port uint16) bool {
		for _, r := range taken {
			if r.Contains(port) {
				return true
			}
		}
		return false
	}
}

// policy is the VIP's, with what the connection's backend may name. A backend that is no longer configured
// may name nothing but itself.
func (v *vipView) policyFor(backend netip.AddrPort) (ftp.Policy, string) {
	p := v.policy
	b := v.backends[backend]
	if b == nil {
		return p, backend.String()
	}
	p.Aliases = append(p.Aliases, b.Aliases...)
	p.Aliases = append(p.Aliases, b.Addrs.All()...)
	return p, b.Name
}
