package rules

import "ftpvip/configs"

// If conntrack has lost its table (`conntrack -F`, a restart without conntrackd) and the server speaks first, it picks up the
// control connection in the wrong direction: as if the backend had opened it, with the VIP as its source by a source group. Both
// ends continue, so the helper must read it. Such an entry is recognised by its original source and by the translation: without
// one, the packets reach the client from an unknown address, and the client refuses them.

// serverSet lists the servers of VIPs with application ftp-control.
func serverSet(cfg *configs.Config, f configs.Family) *Set {
	servers := &Set{Name: setName(stemServers, f), Key: []Type{addrType(f), Service}}
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		if v.Application != configs.FTPControl || !v.Addrs.Of(f).IsValid() {
			continue
		}
		for _, p := range v.Pool.Chain() {
			for _, b := range ofFamily(p, f) {
				servers.add(Element{Key: addrPortBytes(b.Addrs.Of(f), b.Port)})
			}
		}
	}
	return servers
}

// MatchSNATed matches connections whose source was translated.
type MatchSNATed struct{}

// Text implements Statement.
func (MatchSNATed) Text() string { return "ct status snat" }

// Needs implements Statement.
func (MatchSNATed) Needs() Needs { return Needs{} }

// carryReversed gives a connection that begins with a server's packet, and not with a SYN, the carrier.
func carryReversed(f configs.Family) []Statement {
	return []Statement{
		MatchTCP{}, MatchNew{}, MatchFlags{Flags: SYN, None: true},
		MatchInSet{Key{f, SourcePort}, setName(stemServers, f)}, SetHelper{setName(stemHelper, f)},
	}
}
