package rules

import (
	"fmt"

	"ftpvip/configs"
)

// Statement is one match or action of a rule. Statements are values: equal ones compare with ==. The set of statements
// is closed: rules/kernel translates each of them to the kernel's expressions.
type Statement interface {
	// Text is the statement in nft's language.
	Text() string
	// Needs is what has to be there before the statement can be.
	Needs() Needs
}

// Needs is what a statement needs of the table and of the kernel.
type Needs struct {
	Objects []Reference
	// Meter is the dynamic set whose elements have a copy of the statement's limit.
	Meter string
	// Option is what not every kernel that has nf_tables was built with, and Key the key of the configuration that asks
	// for it; "" for nothing special.
	Option, Key string
}

// uses is the need of objects alone.
func uses(kind Kind, names ...string) Needs {
	var n Needs
	for _, name := range names {
		n.Objects = append(n.Objects, Reference{kind, name})
	}
	return n
}

// Selector is a part of a packet or of its connection that is looked up in a set.
type Selector uint8

// The selectors.
const (
	Destination         Selector = iota + 1 // ip daddr . tcp dport
	OriginalDestination                     // ct original ip daddr . ct original proto-dst
	OriginalSource                          // ct original ip saddr . ct original proto-src
	Source                                  // ip saddr
	SourcePort                              // ip saddr . tcp sport
	TaggedDestination                       // meta priority . ip daddr . tcp dport
	OriginalAddress                         // ct original ip daddr
	ReplyAddress                            // ct reply ip daddr
	Client                                  // ip saddr, or an IPv6 client's network
)

// Key is a selector for one family.
type Key struct {
	Family   configs.Family
	Selector Selector
}

// nftFamily is nft's word for a family in an expression.
func nftFamily(f configs.Family) string {
	if f == configs.IPv4 {
		return "ip"
	}
	return "ip6"
}

func (k Key) text() string {
	switch k.Selector {
	case Destination:
		return nftFamily(k.Family) + " daddr . tcp dport"
	case OriginalDestination:
		return "ct original " + nftFamily(k.Family) + " daddr . ct original proto-dst"
	case OriginalAddress:
		return "ct original " + nftFamily(k.Family) + " daddr"
	case ReplyAddress:
		return "ct reply " + nftFamily(k.Family) + " daddr"
	case OriginalSource:
		return "ct original " + nftFamily(k.Family) + " saddr . ct original proto-src"
	case SourcePort:
		return nftFamily(k.Family) + " saddr . tcp sport"
	case Source:
		return nftFamily(k.Family) + " saddr"
	case TaggedDestination:
		return "meta priority . " + nftFamily(k.Family) + " daddr . tcp dport"
	case Client:
		if k.Family == configs.IPv6 {
			return "ip6 saddr & ffff:ffff:ffff:ffff::"
		}
		return "ip saddr"
	}
	return ""
}

// The matches.
type (
	// MatchFamily matches packets of one IP version.
	MatchFamily struct{ Family configs.Family }
	// MatchTCP matches TCP.
	MatchTCP struct{}
	// MatchNew matches the first packet of a connection.
	MatchNew struct{}
	// MatchTracked matches packets of connections. A reset of our own that answers the first packet of one is not among
	// them: it is related (net/netfilter/nf_conntrack_core.c, nf_conntrack_attach).
	MatchTracked struct{}
	// MatchDNATed matches connections whose destination was translated.
	MatchDNATed struct{}
	// MatchSourcePort matches TCP from a port.
	MatchSourcePort struct{ Port uint16 }
	// MatchInSet matches where the key is in the set.
	MatchInSet struct {
		Key Key
		Set string
	}
	// MatchPayload matches packets with at least one byte of TCP payload: the load of the first byte of the
	// inner header fails on others (net/netfilter/nft_payload.c).
	MatchPayload struct{}
	// MatchOpaque matches connections with OpaqueLabel.
	MatchOpaque struct{}
	// MatchTLSData matches packets whose payload begins like a TLS record of application data.
	MatchTLSData struct{}
)

// The actions.
type (
	// VerdictMap jumps to where the map says.
	VerdictMap struct {
		Key Key
		Map string
	}
	// DNATSlot sends a connection to the backend of the slot that the scheduler yields.
	DNATSlot struct {
		Family    configs.Family
		Scheduler configs.Scheduler
		Slots     int
		Map       string
	}
	// DNATMap translates the destination address to what the map says and, unless Port is set, keeps the port.
	DNATMap struct {
		Key  Key
		Map  string
		Port bool
	}
	// SNATMap translates the source address to what the map says.
	SNATMap struct {
		Key Key
		Map string
	}
	// Masquerade translates the source address to that of the outgoing interface.
	Masquerade struct{}
	// SetHelper attaches a ct helper object.
	SetHelper struct{ Object string }
	// Queue hands the packet to userspace.
	Queue struct {
		First, Last uint16
		Bypass      bool // with no listener the packet passes
	}
	// SetOpaque sets OpaqueLabel.
	SetOpaque struct{}
	// RejectReset answers with a TCP reset.
	RejectReset struct{}
	// Accept ends the base chain.
	Accept struct{}
	// Goto goes on in a regular chain.
	Goto struct{ Chain string }
)

// TLSData is how a TLS record of application data begins: content type 23, and the first byte of every version (RFC 8446,
// section 5.1).
const TLSData = 0x1703

// HashSeed is the seed of source-hash, the same on every box so that all of them agree.
const HashSeed = 0x66747076

// Text implements Statement.
func (s MatchFamily) Text() string { return fmt.Sprintf("meta nfproto ipv%d", s.Family) }

// Needs implements Statement.
func (MatchFamily) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchTCP) Text() string { return "meta l4proto tcp" }

// Needs implements Statement.
func (MatchTCP) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchNew) Text() string { return "ct state new" }

// Needs implements Statement.
func (MatchNew) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchTracked) Text() string { return "ct state established,new" }

// Needs implements Statement.
func (MatchTracked) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchDNATed) Text() string { return "ct status dnat" }

// Needs implements Statement.
func (MatchDNATed) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s MatchSourcePort) Text() string { return fmt.Sprintf("tcp sport %d", s.Port) }

// Needs implements Statement.
func (MatchSourcePort) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s MatchInSet) Text() string { return s.Key.text() + " @" + s.Set }

// Needs implements Statement.
func (s MatchInSet) Needs() Needs { return uses(KindSet, s.Set) }

// Text implements Statement.
func (MatchPayload) Text() string { return "@ih,0,8 0-255" }

// Needs implements Statement.
func (MatchPayload) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchOpaque) Text() string { return fmt.Sprintf("ct label %d", OpaqueLabel) }

// Needs implements Statement.
func (MatchOpaque) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchEnded) Text() string { return fmt.Sprintf("ct label %d", EndedLabel) }

// Needs implements Statement.
func (MatchEnded) Needs() Needs { return Needs{} }

// Text implements Statement. A priority is written as the major and minor number of a traffic class.
func (MatchProvoking) Text() string {
	return fmt.Sprintf("meta priority %x:%x", ProvokingPriority>>16, ProvokingPriority&0xffff)
}

// Needs implements Statement.
func (MatchProvoking) Needs() Needs { return Needs{} }

// Text implements Statement.
func (NoTrack) Text() string { return "notrack" }

// Needs implements Statement.
func (NoTrack) Needs() Needs { return Needs{} }

// Text implements Statement.
func (MatchTLSData) Text() string { return fmt.Sprintf("@ih,0,16 %#x", TLSData) }

// Needs implements Statement.
func (MatchTLSData) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s VerdictMap) Text() string { return s.Key.text() + " vmap @" + s.Map }

// Needs implements Statement.
func (s VerdictMap) Needs() Needs { return uses(KindSet, s.Map) }

// Text implements Statement.
func (s DNATSlot) Text() string {
	number := ""
	switch s.Scheduler {
	case configs.SourceHash:
		number = fmt.Sprintf("jhash %s saddr mod %d seed %#x", nftFamily(s.Family), s.Slots, HashSeed)
	case configs.RoundRobin:
		number = fmt.Sprintf("numgen inc mod %d", s.Slots)
	case configs.Random:
		number = fmt.Sprintf("numgen random mod %d", s.Slots)
	}
	return fmt.Sprintf("dnat %s to %s map @%s", nftFamily(s.Family), number, s.Map)
}

// Needs implements Statement.
func (s DNATSlot) Needs() Needs { return uses(KindSet, s.Map) }

// Text implements Statement.
func (s DNATMap) Text() string {
	return fmt.Sprintf("dnat %s to %s map @%s", nftFamily(s.Key.Family), s.Key.text(), s.Map)
}

// Needs implements Statement.
func (s DNATMap) Needs() Needs { return uses(KindSet, s.Map) }

// Text implements Statement.
func (s SNATMap) Text() string {
	return fmt.Sprintf("snat %s to %s map @%s", nftFamily(s.Key.Family), s.Key.text(), s.Map)
}

// Needs implements Statement.
func (s SNATMap) Needs() Needs { return uses(KindSet, s.Map) }

// Text implements Statement.
func (Masquerade) Text() string { return "masquerade" }

// Needs implements Statement.
func (Masquerade) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s SetHelper) Text() string { return fmt.Sprintf("ct helper set %q", s.Object) }

// Needs implements Statement.
func (s SetHelper) Needs() Needs { return uses(KindCTHelper, s.Object) }

// Text implements Statement.
func (SetOpaque) Text() string { return fmt.Sprintf("ct label set %d", OpaqueLabel) }

// Needs implements Statement.
func (SetOpaque) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s Queue) Text() string {
	flags := ""
	if s.Bypass {
		flags = "flags bypass "
	}
	if s.First == s.Last {
		return fmt.Sprintf("queue %sto %d", flags, s.First)
	}
	return fmt.Sprintf("queue %sto %d-%d", flags, s.First, s.Last)
}

// Needs implements Statement.
func (Queue) Needs() Needs { return Needs{} }

// Text implements Statement.
func (RejectReset) Text() string { return "reject with tcp reset" }

// Needs implements Statement.
func (RejectReset) Needs() Needs { return Needs{} }

// Text implements Statement.
func (Accept) Text() string { return "accept" }

// Needs implements Statement.
func (Accept) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s Goto) Text() string { return "goto " + s.Chain }

// Needs implements Statement.
func (s Goto) Needs() Needs { return uses(KindChain, s.Chain) }
