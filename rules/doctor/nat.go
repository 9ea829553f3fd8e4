package doctor

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
)

// first is the packet that opens a control connection, as it comes in.
func (f *Facts) first(s service, link string) *walk.Packet {
	return &walk.Packet{
		Family: s.family, Proto: unix.IPPROTO_TCP, SYN: true, State: walk.StateNew, In: f.viewOf(link),
		Dst: s.at, OriginalDst: s.at,
		DstLocal: f.Routes[s.at.Addr()].Kind == Local, DstNotLocal: f.Routes[s.at.Addr()].Kind == Unicast,
		StatusKnown: walk.StatusDNAT | walk.StatusSNAT | walk.StatusExpected,
	}
}

// judgeNAT finds other tables that translate a VIP before ours does.
func judgeNAT(f *Facts) []Finding {
	if f.Foreign == nil {
		return nil
	}
	var list []Finding
	seen := map[*walk.Rule]bool{}
	for _, s := range f.services() {
		for _, link := range f.clientLinks(s) {
			for _, c := range f.Foreign.Chains(rules.TypeNAT, rules.HookPrerouting, s.family) {
				if c.Base.Priority > priorityDstNAT {
					continue
				}
				for _, m := range walk.Through(c, f.first(s, link)).Marks {
					if m.What == walk.Translated && !seen[m.Place.Rule] {
						seen[m.Place.Rule] = true
						list = append(list, natFinding(s, m))
					}
				}
			}
		}
	}
	return list
}

func natFinding(s service, m walk.Mark) Finding {
	fi := Finding{
		ID: "other-nat", Severity: Error, What: fmt.Sprintf("%s translates VIP %s (%s) as well", m.Place, s.at, s.vip.Name),
		Why:    "one translation only happens, and where it is the other one, clients get to another server",
		Remedy: []string{deleteRule(m.Place)}, Keep: keepRule(m.Place.Base),
	}
	if m.Place.Base.Base.Priority == priorityDstNAT {
		fi.Why = "it has the same priority as ours: the one that was made last sees a connection first, so a restart decides which"
	}
	if strings.HasPrefix(m.Place.Chain.Name, "DOCKER") {
		fi.Remedy = []string{fmt.Sprintf("docker stop $(docker ps -q --filter publish=%d)", s.at.Port())}
		fi.Keep = "another published port for that container"
	}
	if !m.Sure {
		fi.Severity, fi.ID = Note, "other-nat-unsure"
		fi.What = fmt.Sprintf("%s may translate VIP %s (%s) as well, for some clients", m.Place, s.at, s.vip.Name)
	}
	return fi
}

func deleteRule(p walk.Place) string {
	return fmt.Sprintf("nft delete rule %s handle %d", shellChain(p.Chain), p.Rule.Handle)
}

// priorityAssign is that of our chain that attaches the carrier; what is attached first, stays.
const priorityAssign = -150

// judgeMarks finds tables that attach another helper to control connections, or hide them from conntrack.
func judgeMarks(f *Facts) []Finding {
	if f.Foreign == nil {
		return nil
	}
	var list []Finding
	seen := map[*walk.Rule]bool{}
	for _, s := range f.services() {
		if s.vip.Application != configs.FTPControl {
			continue
		}
		for _, link := range f.clientLinks(s) {
			for _, c := range f.Foreign.Chains(rules.TypeFilter, rules.HookPrerouting, s.family) {
				if c.Base.Priority > priorityAssign {
					continue
				}
				packet := f.first(s, link)
				if c.Base.Priority < priorityConntrack {
					packet.State, packet.StatusKnown = walk.StateInvalid, 0
				}
				for _, m := range walk.Through(c, packet).Marks {
					if m.What != walk.Translated && !seen[m.Place.Rule] && (m.What != walk.Untracked || c.Base.Priority < priorityConntrack) {
						seen[m.Place.Rule] = true
						list = append(list, markFinding(s, m))
					}
				}
			}
		}
	}
	return list
}

func markFinding(s service, m walk.Mark) Finding {
	fi := Finding{
		ID: "other-helper", Severity: Error,
		What:   fmt.Sprintf("%s attaches the conntrack helper %q to connections to VIP %s (%s)", m.Place, m.Name, s.at, s.vip.Name),
		Why:    "a connection has one helper, and the first one stays: the kernel's own ftp helper rewrites replies by its own rules, and ours has no carrier",
		Remedy: []string{deleteRule(m.Place)}, Keep: keepRule(m.Place.Base),
	}
	if m.What == walk.Untracked {
		fi.ID = "untracked"
		fi.What = fmt.Sprintf("%s hides connections to VIP %s (%s) from conntrack", m.Place, s.at, s.vip.Name)
		fi.Why = "without conntrack there is no translation: clients get to no backend"
	}
	if !m.Sure {
		fi.Severity = Note
		fi.ID += "-unsure"
		fi.What = "for some clients: " + fi.What
	}
	return fi
}

// judgeMTU finds links of different MTU where the error that tells senders so is dropped on its way out of this host.
func judgeMTU(f *Facts) []Finding {
	var list []Finding
	seen := map[string]bool{}
	for _, s := range f.services() {
		for _, name := range f.clientLinks(s) {
			c, b := f.link(name), f.link(s.route.Link)
			if c == nil || b == nil || c.MTU == b.MTU || s.route.Kind != Unicast {
				continue
			}
			pair := fmt.Sprintf("links %s (MTU %d, clients) and %s (MTU %d, backends) differ", c.Name, c.MTU, b.Name, b.MTU)
			dropped := false
			if f.Foreign != nil {
				for _, r := range f.sendAll([]probe{f.tooBig(s)}, "") {
					key := r.Chain.String() + pair + fmt.Sprint(s.family)
					if r.Answer != walk.Dropped || seen[key] {
						continue
					}
					dropped, seen[key] = true, true
					h := &hit{chain: r.Chain, class: classOf(needICMP), needs: []need{needICMP}, at: r.At}
					h.to = append(h.to, s.to)
					list = append(list, Finding{
						ID: "mtu", Severity: Warning, What: fmt.Sprintf("%s, and %s drops the ICMP errors that say so", pair, r.At),
						Why:    "large packets are thrown away and the sender is never told: listings work, big files stall at once",
						Remedy: remedy(f, h), Keep: keepRule(r.Chain),
					})
				}
			}
			if !dropped && !seen[pair] {
				seen[pair] = true
				list = append(list, Finding{
					ID: "mtu-differs", Severity: Note, What: pair,
					Why: "transfers work as long as ICMP errors get to both sides",
				})
			}
		}
	}
	return list
}
