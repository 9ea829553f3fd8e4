package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ftpvip/configs"
)

func judgePrivilege(f *Facts) []Finding {
	if !f.NoAdmin {
		return nil
	}
	return []Finding{{
		ID: "no-net-admin", Severity: Error,
		What:   "doctor has no CAP_NET_ADMIN: it sees neither firewall rules nor connections",
		Why:    "most of what breaks FTP is in there, and apply, helper and health need the same capability",
		Remedy: []string{"sudo " + f.Command + " doctor"},
	}}
}

// judgeState looks at our own files.
func judgeState(f *Facts) (list []Finding) {
	if f.ConfigError != "" {
		first, _, _ := strings.Cut(f.ConfigError, "\n")
		list = append(list, Finding{
			ID: "config-broken", Severity: Error,
			What:   "the configuration file cannot be used: " + first,
			Why:    "services go on with what was applied last, and nothing new can be applied",
			Remedy: []string{f.Command + " check"},
		})
	}
	if f.Unwritable != "" {
		list = append(list, Finding{
			ID: "state-unwritable", Severity: Error,
			What:   "the state directory cannot be written: " + f.Unwritable,
			Why:    "what health checks find is kept in memory only, and what an admin decides cannot be recorded: make room, or make it writable",
			Remedy: []string{"df -h " + Shell(f.StateDir) + "; findmnt -T " + Shell(f.StateDir)},
		})
	}
	return list
}

// judgeSaved finds our table in files that nft loads when the host starts.
func judgeSaved(f *Facts) (list []Finding) {
	for _, s := range f.Saved {
		list = append(list, Finding{
			ID: "table-saved", Severity: Warning,
			What: fmt.Sprintf("%s holds table inet ftpvip (line %d), as `nft list ruleset` printed it", s.File, s.Line),
			Why: "where our conntrack helper is not registered yet when nft loads the file, nft refuses all of it, and the host starts without a " +
				"firewall; and an old table comes back. ftpvip.service makes the table by itself",
			Remedy: []string{"sed -i '/^table inet ftpvip {/,/^}/d' " + Shell(s.File)},
		})
	}
	return list
}

func judgeTable(f *Facts) []Finding {
	apply := f.Command + " apply"
	switch {
	case f.NoAdmin:
		return nil
	case f.Table.Missing:
		return []Finding{{
			ID: "table-missing", Severity: Error,
			What:   "the kernel has no table inet ftpvip",
			Why:    "nothing answers at the VIPs. It was never applied, or another program flushed the whole ruleset (nftables.service does, when it starts or reloads)",
			Remedy: []string{apply},
			Keep:   "systemctl enable ftpvip.service, which applies after nftables.service",
		}}
	case len(f.Table.Changes) > 0:
		return []Finding{{
			ID: "table-differs", Severity: Error,
			What: fmt.Sprintf("table inet ftpvip is not what the configuration asks for (%d differences, the first: %s)",
				len(f.Table.Changes), f.Table.Changes[0]),
			Why:    "clients get what an older configuration, or somebody's hand, put there",
			Remedy: []string{apply},
		}}
	}
	return nil
}

func judgeHelper(f *Facts) []Finding {
	application := func(v configs.VIP) bool { return v.Application == configs.FTPControl }
	remedy := f.Command + " helper"
	if f.Systemd {
		remedy = "systemctl restart ftpvip-helper.service"
	}
	switch {
	case !slices.ContainsFunc(f.Config.VIPs, application):
		return nil
	case len(f.Unheard) > 0:
	case f.Deaf != "":
		return []Finding{{
			ID: "helper-deaf", Severity: Error,
			What:   "the helper has its queues and does not answer: " + f.Deaf,
			Why:    "packets of control connections wait for it; logins hang",
			Remedy: []string{remedy},
		}}
	case f.HelperID != "" && f.AppliedID != "" && f.HelperID != f.AppliedID:
		return []Finding{{
			ID: "helper-config", Severity: Error,
			What:   fmt.Sprintf("the helper works with another configuration (%s) than what is applied (%s)", f.HelperID, f.AppliedID),
			Why:    "control connections of VIPs that it does not know pass unread, and their replies name the server's own address",
			Remedy: []string{strings.Replace(remedy, "restart", "reload", 1)},
		}}
	default:
		return nil
	}
	queues := make([]string, len(f.Unheard))
	for i, q := range f.Unheard {
		queues[i] = strconv.Itoa(int(q))
	}
	return []Finding{{
		ID: "helper-down", Severity: Error,
		What:   "no helper listens on queue " + strings.Join(queues, ", "),
		Why:    "packets of control connections wait for it; logins hang (on_helper_down: hold) or transfers fail (pass)",
		Remedy: []string{remedy},
		Keep:   "systemctl enable ftpvip-helper.service",
	}}
}

// judgeTLS finds backends that clients speak TLS with, and that have no passive slice.
func judgeTLS(f *Facts) []Finding {
	if len(f.NoSlice) == 0 {
		return nil
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(f.NoSlice)) {
		list = append(list, fmt.Sprintf("%s (%d sessions)", key, f.NoSlice[key]))
	}
	return []Finding{{
		ID: "tls-without-slice", Severity: Error,
		What:   "sessions in TLS with servers that have no passive_ports: " + strings.Join(list, ", "),
		Why:    "nobody can read in TLS which port a server announces, so passive data connections find no way and clients time out",
		Remedy: []string{f.Command + " check --servers   # lists what to set on each server; then set passive_ports of the backends, or tls_without_slice: refuse"},
	}}
}

func judgeForwarding(f *Facts) []Finding {
	var list []Finding
	links := map[configs.Family][]string{}
	for _, s := range f.services() {
		if s.route.Kind == Local {
			continue
		}
		for _, l := range append(f.clientLinks(s), s.route.Link) {
			if l != "" && !slices.Contains(links[s.family], l) {
				links[s.family] = append(links[s.family], l)
			}
		}
	}
	add := func(id, what string, paths ...string) {
		fi := Finding{
			ID: id, Severity: Error, What: what,
			Why: "neither control nor data connections get from the VIPs to the backends", Keep: keepSysctl,
		}
		for _, p := range paths {
			fi.Remedy = append(fi.Remedy, sysctlCommand(p, "1"))
		}
		list = append(list, fi)
	}
	if len(links[configs.IPv4]) > 0 {
		var off []string
		for _, l := range links[configs.IPv4] {
			if f.sysctl("net/ipv4/conf/"+l+"/forwarding") == "0" {
				off = append(off, "net/ipv4/conf/"+l+"/forwarding")
			}
		}
		switch {
		case f.sysctl("net/ipv4/ip_forward") == "0":
			add("forwarding-off-4", "this host does not forward IPv4", "net/ipv4/ip_forward")
		case len(off) > 0:
			add("forwarding-off-4", "this host does not forward IPv4 on some of its links", off...)
		}
	}
	if len(links[configs.IPv6]) > 0 && f.sysctl("net/ipv6/conf/all/forwarding") == "0" {
		add("forwarding-off-6", "this host does not forward IPv6", "net/ipv6/conf/all/forwarding")
	}
	return list
}

// judgeVIPs looks for VIPs that nobody answers for.
func judgeVIPs(f *Facts) []Finding {
	var list []Finding
	seen := map[netip.Addr]bool{}
	for i := range f.Config.VIPs {
		v := &f.Config.VIPs[i]
		for _, a := range v.Addrs.All() {
			if seen[a] || f.Routes[a].Kind == Local {
				continue
			}
			seen[a] = true
			used := false // somebody's packets have come here
			for key, flow := range f.Flows {
				used = used || key.VIP.Addr() == a && flow.Answered > 0
			}
			on := f.connected(a)
			switch {
			case v.Bind != "":
				list = append(list, Finding{
					ID: "vip-unbound", Severity: Error,
					What:   fmt.Sprintf("VIP %s (%s) is not on %s, where bind wants it: somebody removed it, or the link was made anew", a, v.Name, v.Bind),
					Why:    "nobody answers for it, so no client gets here",
					Remedy: []string{f.Command + " apply"},
				})
			case used, on != nil && f.on("net/ipv4/conf/"+on.Name+"/proxy_arp"):
			case on == nil:
				list = append(list, Finding{
					ID: "vip-not-local", Severity: Note,
					What: fmt.Sprintf("VIP %s (%s) is no address of this host", a, v.Name),
					Why:  "that is right where a router sends it here, or where another host has it now (keepalived); this host cannot see either",
				})
			default:
				fi := Finding{
					ID: "vip-not-local", Severity: Error,
					What:   fmt.Sprintf("VIP %s (%s) is no address of this host, and lies in the network of %s", a, v.Name, on.Name),
					Why:    "neighbours ask for it by ARP or neighbour discovery and nobody answers, so no client gets here",
					Remedy: []string{fmt.Sprintf("ip address add %s dev %s", netip.PrefixFrom(a, a.BitLen()), Shell(on.Name))},
					Keep:   "bind it with keepalived, or in the network's own configuration",
				}
				if f.Keepalived {
					fi.Severity, fi.Remedy = Note, nil
					fi.Why += "; keepalived runs here: on the host that stands by, this is as it should be"
				}
				list = append(list, fi)
			}
		}
	}
	return list
}

// connected returns the link whose network an address lies in, or nil.
func (f *Facts) connected(a netip.Addr) *Link {
	for i := range f.Links {
		for _, p := range f.Links[i].Prefixes {
			if p.Bits() < p.Addr().BitLen() && p.Masked().Contains(a) {
				return &f.Links[i]
			}
		}
	}
	return nil
}

func judgeRoutes(f *Facts) []Finding {
	var list []Finding
	seen := map[netip.Addr]bool{}
	for _, s := range f.services() {
		a := s.to.Addr()
		if seen[a] || s.route.Kind == Local || s.route.Kind == Unicast {
			continue
		}
		seen[a] = true
		fi := Finding{
			ID: "backend-no-route", Severity: Error,
			What: fmt.Sprintf("there is no route to backend %s (%s)", s.backend.Name, a),
			Why:  "its share of the clients gets no answer, or an ICMP error",
		}
		prefix := netip.PrefixFrom(a, a.BitLen())
		switch on := f.connected(a); {
		case s.route.Kind == Unusable:
			fi.What = fmt.Sprintf("a route forbids the way to backend %s (%s): %s", s.backend.Name, a, s.route.Text)
			fi.Remedy = []string{fmt.Sprintf("ip %sroute delete %s", six(a), s.route.Text)}
		case on != nil:
			fi.Remedy = []string{fmt.Sprintf("ip %sroute add %s dev %s", six(a), prefix, Shell(on.Name))}
		default:
			fi.Remedy = []string{fmt.Sprintf("ip %sroute add %s via ROUTER   # the router towards it", six(a), prefix)}
		}
		list = append(list, fi)
	}
	return list
}

// six is ip's flag for IPv6.
func six(a netip.Addr) string {
	if a.Is6() {
		return "-6 "
	}
	return ""
}

// judgeReplies finds backends whose answers take another way. That cannot be seen from here but by what is missing:
// clients' connections went there and no answer came through this host.
func judgeReplies(f *Facts) []Finding {
	var list []Finding
	seen := map[netip.AddrPort]bool{}
	for _, s := range f.services() {
		flow := f.Flows[FlowKey{s.at, s.to}]
		if s.pool.SNAT.Mode != configs.SNATNone || !flow.bypassed() || seen[s.to] ||
			f.Down[configs.Ref{Pool: s.pool.Name, Backend: s.backend.Name}] {
			continue
		}
		seen[s.to] = true
		via := "ADDRESS-OF-THIS-HOST"
		if s.route.Src.IsValid() {
			via = s.route.Src.String()
		}
		list = append(list, Finding{
			ID: "replies-bypass", Severity: Error,
			What: fmt.Sprintf("clients' connections to backend %s (%s) get no answer through this host: %d unanswered, %d answered",
				s.backend.Name, s.to, flow.Unanswered, flow.Answered),
			Why: fmt.Sprintf("pool %s has no snat, so the backend has to route its answers to the clients back through this host; they take "+
				"another way (or its own firewall refuses the clients, or it is down). The other cure is one-arm mode: snat: masquerade in pool %s",
				s.pool.Name, s.pool.Name),
			Remedy: []string{fmt.Sprintf("ip %sroute replace default via %s", six(s.to.Addr()), via)},
			On:     s.to.Addr().String(),
			Keep:   "the default gateway in the backend's network configuration",
		})
	}
	return list
}

// judgeRPFilter finds strict reverse path filters where packets rightly come in by another link than the one that
// answers leave by. IPv6 has no such setting.
func judgeRPFilter(f *Facts) []Finding {
	strict := func(link string) bool { // the greater of both counts (net/ipv4/fib_frontend.c)
		all, own := f.sysctl("net/ipv4/conf/all/rp_filter"), f.sysctl("net/ipv4/conf/"+link+"/rp_filter")
		return max(all, own) == "1"
	}
	reason := map[string]string{}
	anyStrict := ""
	for _, l := range f.Links {
		if !strict(l.Name) {
			continue
		}
		if anyStrict == "" {
			anyStrict = l.Name
		}
		for _, s := range f.services() {
			if s.family != configs.IPv4 {
				continue
			}
			on := f.connected(s.to.Addr())
			switch d := f.Default[configs.IPv4]; {
			case on != nil && on.Name == l.Name && s.route.Kind == Unicast && s.route.Link != l.Name:
				reason[l.Name] = fmt.Sprintf("backend %s lies in the network of %s, and the route to it leaves by %s", s.to.Addr(), l.Name, s.route.Link)
			case onLink(&l, s.at.Addr()) && d != "" && d != l.Name && !f.Client.IsValid():
				reason[l.Name] = fmt.Sprintf("clients come to VIP %s by %s, and the default route leaves by %s", s.at.Addr(), l.Name, d)
			}
		}
	}
	if len(reason) == 0 && anyStrict != "" && f.RPDrops > 0 {
		for _, s := range f.services() {
			flow := f.Flows[FlowKey{s.at, s.to}]
			if s.family == configs.IPv4 && flow.Unanswered > 0 && flow.Answered == 0 {
				for _, l := range f.Links {
					if strict(l.Name) {
						reason[l.Name] = fmt.Sprintf("the kernel has dropped %d packets for it, and connections to %s get no answer", f.RPDrops, s.to)
					}
				}
				break
			}
		}
	}
	var list []Finding
	for _, l := range f.Links {
		if reason[l.Name] == "" {
			continue
		}
		list = append(list, Finding{
			ID: "rp-filter", Severity: Error,
			What:   fmt.Sprintf("rp_filter is strict on %s, and the path is asymmetric: %s", l.Name, reason[l.Name]),
			Why:    "the kernel silently drops packets that come in by another link than the one that it would answer by",
			Remedy: []string{sysctlCommand("net/ipv4/conf/"+l.Name+"/rp_filter", "2")},
			Keep:   keepSysctl,
		})
	}
	return list
}

func onLink(l *Link, a netip.Addr) bool {
	return slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool {
		return p.Bits() < p.Addr().BitLen() && p.Masked().Contains(a)
	})
}
