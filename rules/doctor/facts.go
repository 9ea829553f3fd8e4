// Package doctor judges what stands between a configuration and working FTP on a live host. It is pure: Facts go in,
// findings come out. Package host gathers the facts.
package doctor

import (
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
	"ftpvip/rules/walk"
)

// Facts is what is known of the host.
type Facts struct {
	Config  *configs.Config
	Command string     // how ftpvip is called, with the flags that name its files: "ftpvip", "ftpvip -c FILE"
	Systemd bool       // systemd runs here, so services are started by it
	Client  netip.Addr // a client that the admin asks about; invalid: any

	NoAdmin    bool // CAP_NET_ADMIN is missing: Table, Foreign, Flows and Kernel are not known
	Table      Table
	Foreign    *walk.Ruleset
	ForeignErr string   // why Foreign is nil, if it should not be
	Legacy     []string // tables of iptables-legacy and ip6tables-legacy
	Kernel     Kernel
	Flows      map[FlowKey]Flow
	Down       map[configs.Ref]bool // judged down by the health checks
	Unheard    []uint16             // queues that nobody listens to
	Deaf       string               // why the helper that listens does not answer; "": it does
	HelperID   string               // of the configuration that the helper works with; "": not known
	NoSlice    map[string]uint64    // sessions in TLS, by VIP/backend, where the backend has no passive slice
	AppliedID  string               // of the one that was applied; "": not known

	ConfigError string // why the configuration file cannot be used: Config is what was applied
	StateDir    string
	Unwritable  string       // why the state directory cannot be written; "": it can
	Saved       []SavedTable // saved rulesets that hold our table

	Sysctls    map[string]string    // by path below /proc/sys; absent ones are not there
	Links      []Link               // up, without lo
	Routes     map[netip.Addr]Route // of VIPs, backends and the client
	Default    map[configs.Family]string
	RPDrops    uint64 // packets that rp_filter has dropped since boot
	Keepalived bool   // keepalived runs here
	Modules    map[string]bool
}

// Table is the state of our own table.
type Table struct {
	Missing bool
	Changes []string // what apply would do to it
}

// SavedTable is a place in a file that nft loads when the host starts.
type SavedTable struct {
	File string
	Line int
}

// Kernel is what the kernel has.
type Kernel struct {
	Queue    bool // nft's queue statement
	CTHelper bool // nfnetlink_cthelper
	// What limits need.
	Connlimit, Limit bool
	Flowtables       bool // what offload needs
}

// Link is a network interface.
type Link struct {
	Name      string
	Index     int
	MTU       int
	Container bool // a bridge of Docker, libvirt or the like, or a container's end
	Prefixes  []netip.Prefix
}

// Route is what the kernel answers for a destination.
type Route struct {
	Kind RouteKind
	Link string
	Via  netip.Addr // invalid: on link
	Src  netip.Addr
	Text string // of an unusable one: type and prefix, as `ip route delete` takes them
}

// RouteKind is the kind of a route.
type RouteKind string

// The kinds.
const (
	NoRoute  RouteKind = "none"
	Local    RouteKind = "local"
	Unicast  RouteKind = "unicast"
	Unusable RouteKind = "unusable" // unreachable, blackhole, prohibit
)

// FlowKey is a VIP and a backend that its connections went to.
type FlowKey struct {
	VIP, Backend netip.AddrPort
}

// Flow counts conntrack's entries.
type Flow struct {
	Answered   int // the backend's answer was seen
	Unanswered int // a client's SYN went to the backend and no answer came through this host
}

// bypassed reports whether answers seem to take another way than through this host. Some may have come by it, such as those to
// this host's own network.
func (w Flow) bypassed() bool {
	return w.Unanswered > 0 && (w.Answered == 0 || w.Unanswered >= 3 && w.Unanswered > w.Answered)
}

// sysctl returns a sysctl's value; "" where it is not there.
func (f *Facts) sysctl(path string) string { return f.Sysctls[path] }

// on reports whether a sysctl is there and not 0.
func (f *Facts) on(path string) bool { return f.Sysctls[path] != "" && f.Sysctls[path] != "0" }

// link returns a link by name, or nil.
func (f *Facts) link(name string) *Link {
	i := slices.IndexFunc(f.Links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Links[i]
}

// Sysctls lists the sysctls that the judgement reads, for links of these names.
func Sysctls(links []string) []string {
	list := []string{
		"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter",
		"net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_helper",
		"net/netfilter/nf_conntrack_tcp_loose", "net/netfilter/nf_conntrack_acct",
		"net/netfilter/nf_conntrack_expect_max", "net/netfilter/nf_conntrack_tcp_timeout_established",
	}
	for _, l := range links {
		list = append(list, "net/ipv4/conf/"+l+"/rp_filter", "net/ipv4/conf/"+l+"/forwarding", "net/ipv4/conf/"+l+"/proxy_arp")
	}
	return list
}

// service is one VIP's way to one backend, in one family.
type service struct {
	vip     *configs.VIP
	pool    *configs.Pool
	backend *configs.Backend
	family  configs.Family
	at      netip.AddrPort // the VIP
	to      netip.AddrPort // the backend
	route   Route          // to the backend
}

// services lists all of them.
func (f *Facts) services() []service {
	var list []service
	for i := range f.Config.VIPs {
		v := &f.Config.VIPs[i]
		for _, p := range v.Pool.Chain() {
			for _, family := range configs.Families {
				for j := range p.Backends {
					b := &p.Backends[j]
					vip, addr := v.Addrs.Of(family), b.Addrs.Of(family)
					if !vip.IsValid() || !addr.IsValid() {
						continue
					}
					list = append(list, service{
						vip: v, pool: p, backend: b, family: family, route: f.Routes[addr],
						at: netip.AddrPortFrom(vip, v.Port), to: netip.AddrPortFrom(addr, b.Port),
					})
				}
			}
		}
	}
	return list
}

// clientLinks lists the links by which clients may come to a backend's VIP. With one client given it is the link of the
// route to it.
func (f *Facts) clientLinks(s service) []string {
	if f.Client.IsValid() {
		if configs.FamilyOf(f.Client) != s.family {
			return nil
		}
		return []string{f.Routes[f.Client].Link}
	}
	var list []string
	if d := f.Default[s.family]; d != "" {
		list = append(list, d)
	}
	for _, l := range f.Links {
		has := slices.ContainsFunc(l.Prefixes, func(p netip.Prefix) bool {
			return configs.FamilyOf(p.Addr()) == s.family && !p.Addr().IsLinkLocalUnicast()
		})
		if has && !l.Container && l.Name != s.route.Link && !slices.Contains(list, l.Name) {
			list = append(list, l.Name)
		}
	}
	if len(list) == 0 && s.route.Link != "" {
		list = append(list, s.route.Link)
	}
	return list
}

// sysctlCommand is the command that sets a sysctl.
func sysctlCommand(path, value string) string {
	name := path
	if !strings.Contains(path, ".") { // else a link's own dots would be taken for separators
		name = strings.ReplaceAll(path, "/", ".")
	}
	return "sysctl -w " + Shell(name+"="+value)
}
