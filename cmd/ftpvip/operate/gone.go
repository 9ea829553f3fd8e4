package operate

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
)

// gone returns what was applied with nothing but the VIPs that next does not have, by address and port; nil if it has them all. Nobody reads
// the control connections of these any more, and their replies would name the servers' own addresses.
func gone(applied *inforce.Applied, next *configs.Config) *configs.Config {
	if applied == nil {
		return nil
	}
	old, err := applied.Config()
	if err != nil {
		return nil // of an earlier version, which says nothing of today's sessions
	}
	stays := map[netip.AddrPort]bool{}
	for i := range next.VIPs {
		for _, a := range next.VIPs[i].Addrs.All() {
			stays[netip.AddrPortFrom(a, next.VIPs[i].Port)] = true
		}
	}
	var left []configs.VIP
	for _, v := range old.VIPs {
		if v.Application != configs.FTPControl {
			continue
		}
		for _, f := range configs.Families {
			if a := v.Addrs.Of(f); a.IsValid() && stays[netip.AddrPortFrom(a, v.Port)] {
				v.Addrs = v.Addrs.Without(f)
			}
		}
		if len(v.Addrs.All()) > 0 {
			left = append(left, v)
		}
	}
	if len(left) == 0 {
		return nil
	}
	old.VIPs = left
	old.Link()
	return old
}

// costs says how many sessions of VIPs that go will end, a line for each.
func (o *Operator) costs(applied *inforce.Applied, next *configs.Config) (string, error) {
	old := gone(applied, next)
	if old == nil {
		return "", nil
	}
	connections, err := o.Sessions.Connections(old)
	if err != nil {
		return "", err
	}
	var lines []string
	for at, backends := range connections {
		n := 0
		for _, count := range backends {
			n += count
		}
		if n > 0 {
			lines = append(lines, fmt.Sprintf("! %d sessions of VIP %s end with a reset, with their transfers: drain first, or keep the VIP until they have ended\n", n, at))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), nil
}

// endGone ends the sessions of VIPs that an apply took away: both ends get a reset, so that clients come again at once.
func (o *Operator) endGone(ctx context.Context, applied *inforce.Applied, next *configs.Config) {
	old := gone(applied, next)
	if old == nil {
		return
	}
	var refs []configs.Ref
	for i := range old.Pools {
		p := &old.Pools[i]
		for _, b := range p.Backends {
			if len(p.VIPs) > 0 {
				refs = append(refs, configs.Ref{Pool: p.Name, Backend: b.Name})
			}
		}
	}
	ended, err := o.Sessions.Reset(ctx, old, refs)
	switch {
	case err != nil:
		o.Log.Warn("sessions of VIPs that are gone may go on unread: their transfers fail; end them on the servers", "err", err)
	case ended.Control > 0:
		o.Log.Warn("sessions of VIPs that are gone were reset", "sessions", ended.Control, "data", ended.Data)
	}
}
