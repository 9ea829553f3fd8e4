package rules

import (
	"fmt"
	"time"

	"ftpvip/configs"
)

// AffinityMax is how many clients of one family a pool remembers. If the map is full, the scheduler decides for each connection
// of further clients.
const AffinityMax = 65536

// Affinity names the maps that remember on which backend a client of a pool is. There are two of them, client
// to address and client to port, since nft (1.0.6, assertion in netlink_gen_expr) cannot load a rule that writes
// more than 16 bytes into a map.
type Affinity struct {
	Clients, Ports, Slots string
}

// affinity makes a pool's maps of clients in one family.
func affinity(p *configs.Pool, f configs.Family) (a Affinity, clients, ports *Set) {
	a = Affinity{AffinityName(p.Name, f), setName(stemAffinityPort, f) + "-" + p.Name, SlotsName(p.Name, f)}
	addr := addrType(f)
	clients = &Set{Name: a.Clients, Key: []Type{addr}, Data: []Type{addr}, Dynamic: &Dynamic{AffinityMax, p.Affinity}}
	ports = &Set{Name: a.Ports, Key: []Type{addr}, Data: []Type{Service}, Dynamic: &Dynamic{AffinityMax, p.Affinity}}
	return a, clients, ports
}

// forget deletes the clients of a backend that holds no slots. All others stay: what the kernel has learnt is not
// configuration.
func (p *Plan) forget(have, want *Ruleset) {
	for _, a := range want.Affinity {
		clients, ports := have.Set(a.Clients), have.Set(a.Ports)
		if clients == nil || ports == nil || !clients.sameShape(want.Set(a.Clients)) || !ports.sameShape(want.Set(a.Ports)) {
			continue
		}
		members := map[string]bool{}
		for _, e := range want.Set(a.Slots).Elements {
			members[e.Data] = true
		}
		port := make(map[string]Element, len(ports.Elements))
		for _, e := range ports.Elements {
			port[e.Key] = e
		}
		goneClients, gonePorts := *clients, *ports
		goneClients.Elements, gonePorts.Elements = nil, nil
		for _, e := range clients.Elements {
			// A client whose port is not known yet, or not any more, is learnt or expires at this moment.
			if at, ok := port[e.Key]; ok && !members[e.Data+at.Data] {
				goneClients.Elements = append(goneClients.Elements, e)
				gonePorts.Elements = append(gonePorts.Elements, at)
			}
		}
		if len(goneClients.Elements) > 0 {
			p.delete(Elements{&goneClients})
			p.delete(Elements{&gonePorts})
		}
	}
}

// timeText is a time in nft's syntax.
func timeText(d time.Duration) string { return fmt.Sprintf("%ds", d/time.Second) }

type (
	// DNATKnown sends a client that the maps remember to its backend; others go on with the next rule.
	DNATKnown struct {
		Family         configs.Family
		Clients, Ports string
	}
	// MatchUntagged excludes packets of health-check sockets, which must not create affinity.
	MatchUntagged struct{}
	// Remember writes the packet's destination, or the port of it, to the map's element for the client. One that
	// is there already stays, and its time begins again.
	Remember struct {
		Family configs.Family
		Map    string
		Port   bool
	}
)

// Text implements Statement.
func (s DNATKnown) Text() string {
	ip := nftFamily(s.Family)
	return fmt.Sprintf("dnat %s to %s saddr map @%s : %s saddr map @%s", ip, ip, s.Clients, ip, s.Ports)
}

// Needs implements Statement.
func (s DNATKnown) Needs() Needs { return uses(KindSet, s.Clients, s.Ports) }

// tagHalf is the half of a tag that all tags have in common.
const tagHalf = 0xffff0000

// TagMask is that half, and what it holds.
func (MatchUntagged) TagMask() (mask, tag uint32) { return tagHalf, configs.WayTag }

// Text implements Statement.
func (s MatchUntagged) Text() string {
	mask, tag := s.TagMask()
	return fmt.Sprintf("meta priority & %x:0 != %x:0", mask>>16, tag>>16)
}

// Needs implements Statement.
func (MatchUntagged) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s Remember) Text() string {
	ip := nftFamily(s.Family)
	what := ip + " daddr"
	if s.Port {
		what = "tcp dport"
	}
	return fmt.Sprintf("update @%s { %s saddr : %s }", s.Map, ip, what)
}

// Needs implements Statement.
func (s Remember) Needs() Needs { return uses(KindSet, s.Map) }
