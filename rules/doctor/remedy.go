package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
)

// owner is the program that a chain belongs to. Its rules are best changed through it.
type owner uint8

const (
	nftOwner owner = iota // an admin's own nft file
	iptablesOwner
	dockerOwner
	ufwOwner
	firewalldOwner
)

// ownerOf guesses by the names that these programs give.
func ownerOf(c *walk.Chain) owner {
	t := c.Table
	switch {
	case t.Name == "firewalld":
		return firewalldOwner
	case !slices.Contains([]string{"filter", "mangle", "raw", "security", "nat"}, t.Name) || t.Family == walk.INet,
		strings.ToUpper(c.Name) != c.Name:
		return nftOwner
	case c.Base.Hook == rules.HookForward && t.Chain("ufw-before-forward") != nil, t.Chain("ufw6-before-forward") != nil:
		return ufwOwner
	case c.Base.Hook == rules.HookForward && t.Name == "filter" && t.Chain("DOCKER-USER") != nil:
		return dockerOwner
	}
	return iptablesOwner
}

// remedy lists commands that let through what a chain drops.
func remedy(f *Facts, h *hit) []string {
	o := ownerOf(h.chain)
	switch {
	case o == firewalldOwner:
		return firewalldRemedy(h)
	case o == ufwOwner && h.class.id == "firewall-control":
		return ufwRemedy(f, h)
	case o == nftOwner:
		return nftRemedy(f, h)
	}
	return iptablesRemedy(f, h, o)
}

func keepRule(c *walk.Chain) string {
	switch ownerOf(c) {
	case nftOwner:
		return "the same rule in the file that makes the table, such as /etc/nftables.conf"
	case iptablesOwner:
		return "save the rules with the program that loads them, such as netfilter-persistent"
	case dockerOwner:
		return "a unit that runs these commands after docker.service"
	case ufwOwner, firewalldOwner: // they keep what they are told
	}
	return ""
}

// slices is the passive ports of backends by their addresses, where a hit is about them.
func (h *hit) slices(f *Facts) map[netip.Addr]configs.PortRange {
	if !slices.Contains(h.needs, needSlice) {
		return nil
	}
	m := map[netip.Addr]configs.PortRange{}
	for _, s := range f.services() {
		if !s.backend.PassivePorts.IsZero() && slices.Contains(h.to, s.to) {
			m[s.to.Addr()] = s.backend.PassivePorts
		}
	}
	return m
}

// nftRemedy inserts rules at the beginning of the base chain.
func nftRemedy(f *Facts, h *hit) []string {
	insert := func(format string, args ...any) string {
		return fmt.Sprintf("nft insert rule %s '%s'", shellChain(h.chain), fmt.Sprintf(format, args...))
	}
	switch h.class.id {
	case "firewall-related":
		return []string{insert("ct state established,related accept")}
	case "firewall-neighbours":
		return []string{insert("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept")}
	case "firewall-icmp":
		var list []string
		for _, family := range h.families() {
			if family == configs.IPv4 {
				list = append(list, insert("icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"))
			} else {
				list = append(list, insert("icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept"))
			}
		}
		return list
	}
	dir, port := "daddr", "dport"
	if slices.Contains(h.needs, needCheckAnswer) && !slices.Contains(h.needs, needCheck) {
		dir, port = "saddr", "sport"
	}
	var list []string
	for _, family := range h.families() {
		ip := map[configs.Family]string{configs.IPv4: "ip", configs.IPv6: "ip6"}[family]
		ports := h.ports(family)
		for _, n := range slices.Sorted(maps.Keys(ports)) {
			list = append(list, insert("%s %s { %s } tcp %s %d accept", ip, dir, join(ports[n]), port, n))
		}
		of := h.slices(f)
		for _, a := range slices.SortedFunc(maps.Keys(of), netip.Addr.Compare) {
			if configs.FamilyOf(a) == family {
				list = append(list, insert("%s daddr %s tcp dport %d-%d accept", ip, a, of[a].First, of[a].Last))
			}
		}
	}
	return list
}

func join(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// iptablesRemedy is the same for tables that iptables-nft made; `iptables` alone may be the legacy one.
func iptablesRemedy(f *Facts, h *hit, o owner) []string {
	var list []string
	for _, family := range h.families() {
		program := map[configs.Family]string{configs.IPv4: "iptables-nft", configs.IPv6: "ip6tables-nft"}[family]
		chain := h.chain.Name
		if o == dockerOwner {
			chain = "DOCKER-USER"
		}
		add := func(format string, args ...any) {
			list = append(list, fmt.Sprintf("%s -t %s -I %s %s -j ACCEPT", program, Shell(h.chain.Table.Name), Shell(chain), fmt.Sprintf(format, args...)))
		}
		switch h.class.id {
		case "firewall-related":
			add("-m conntrack --ctstate ESTABLISHED,RELATED")
		case "firewall-neighbours":
			add("-p icmpv6 --icmpv6-type neighbour-solicitation")
			add("-p icmpv6 --icmpv6-type neighbour-advertisement")
		case "firewall-icmp":
			if family == configs.IPv4 {
				add("-p icmp --icmp-type destination-unreachable")
			} else {
				add("-p icmpv6 --icmpv6-type packet-too-big")
			}
		default:
			dir, port := "-d", "--dport"
			if slices.Contains(h.needs, needCheckAnswer) && !slices.Contains(h.needs, needCheck) {
				dir, port = "-s", "--sport"
			}
			ports := h.ports(family)
			for _, n := range slices.Sorted(maps.Keys(ports)) {
				for _, a := range ports[n] {
					add("-p tcp %s %s %s %d", dir, a, port, n)
				}
			}
			of := h.slices(f)
			for _, a := range slices.SortedFunc(maps.Keys(of), netip.Addr.Compare) {
				if configs.FamilyOf(a) == family {
					add("-p tcp -d %s --dport %d:%d", a, of[a].First, of[a].Last)
				}
			}
		}
	}
	return list
}

func ufwRemedy(f *Facts, h *hit) []string {
	var list []string
	for _, to := range h.to {
		list = append(list, fmt.Sprintf("ufw route allow proto tcp from any to %s port %d", to.Addr(), to.Port()))
	}
	of := h.slices(f)
	for _, a := range slices.SortedFunc(maps.Keys(of), netip.Addr.Compare) {
		list = append(list, fmt.Sprintf("ufw route allow proto tcp from any to %s port %d:%d", a, of[a].First, of[a].Last))
	}
	return list
}

// firewalldRemedy makes a policy. Rules that are not firewalld's own cannot help: its chain has the last word.
func firewalldRemedy(h *hit) []string {
	list := []string{
		"firewall-cmd --permanent --new-policy ftpvip",
		"firewall-cmd --permanent --policy ftpvip --add-ingress-zone ANY",
		"firewall-cmd --permanent --policy ftpvip --add-egress-zone ANY",
	}
	for _, to := range h.to {
		family := "ipv4"
		if to.Addr().Is6() {
			family = "ipv6"
		}
		list = append(list, fmt.Sprintf(
			"firewall-cmd --permanent --policy ftpvip --add-rich-rule 'rule family=%s destination address=%s port port=%d protocol=tcp accept'",
			family, to.Addr(), to.Port()))
	}
	return append(list, "firewall-cmd --reload")
}
