package host

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules/doctor"
)

// container matches the links that Docker, libvirt, CNI plugins and Podman make. Clients from other hosts do not come by
// them.
var container = regexp.MustCompile(`^(docker\d+|docker_gwbridge|br-[0-9a-f]{12}|virbr\d+|veth[0-9a-f]+|cni.*|flannel.*|cali.*|podman\d+|lxcbr\d+|lxdbr\d+)$`)

// families by netlink's numbers.
var families = map[configs.Family]int{configs.IPv4: unix.AF_INET, configs.IPv6: unix.AF_INET6}

// readLinks lists the links that are up, and returns their names. local gets all addresses of this host: a new one is
// in no routing table yet.
func readLinks(f *doctor.Facts, local map[netip.Addr]bool) (names []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		link := doctor.Link{Name: a.Name, Index: a.Index, MTU: a.MTU, Container: container.MatchString(a.Name)}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("listing addresses of %s: %w", a.Name, err)
		}
		for _, addr := range addrs {
			ones, _ := addr.Mask.Size()
			link.Prefixes = append(link.Prefixes, netip.PrefixFrom(addrOf(addr.IP), ones))
			local[addrOf(addr.IP)] = true
		}
		if a.Flags&net.FlagUp == 0 || a.Flags&net.FlagLoopback != 0 {
			continue
		}
		f.Links = append(f.Links, link)
		names = append(names, a.Name)
	}
	return names, nil
}

// readRoutes asks the kernel for the way to each VIP, backend and the client.
func readRoutes(f *doctor.Facts, local map[netip.Addr]bool) error {
	f.Routes = map[netip.Addr]doctor.Route{}
	var all []netip.Addr
	for i := range f.Config.VIPs {
		all = append(all, f.Config.VIPs[i].Addrs.All()...)
	}
	for i := range f.Config.Pools {
		for _, b := range f.Config.Pools[i].Backends {
			all = append(all, b.Addrs.All()...)
		}
	}
	if f.Client.IsValid() {
		all = append(all, f.Client)
	}
	for _, a := range all {
		if _, done := f.Routes[a]; done {
			continue
		}
		r, err := routeTo(a)
		if err != nil {
			return err
		}
		if local[a] {
			r.Kind = doctor.Local
		}
		f.Routes[a] = r
	}
	f.Default = map[configs.Family]string{}
	for family, number := range families {
		name, err := defaultLink(number)
		if err != nil {
			return err
		}
		if name != "" {
			f.Default[family] = name
		}
	}
	return nil
}

func routeTo(a netip.Addr) (doctor.Route, error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return blockedRoute(a)
	case err != nil:
		return doctor.Route{}, fmt.Errorf("looking up the route to %s: %w", a, err)
	case len(routes) == 0:
		return doctor.Route{Kind: doctor.NoRoute}, nil
	}
	r := routes[0]
	route := doctor.Route{Kind: doctor.Unicast, Via: addrOf(r.Gw), Src: addrOf(r.Src)}
	if r.Type == unix.RTN_LOCAL {
		route.Kind = doctor.Local
	}
	link, err := netlink.LinkByIndex(r.LinkIndex)
	if err != nil {
		return route, fmt.Errorf("looking up link %d: %w", r.LinkIndex, err)
	}
	route.Link = link.Attrs().Name
	return route, nil
}

// typeNames are ip's words for routes that refuse.
var typeNames = map[int]string{unix.RTN_UNREACHABLE: "unreachable", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_PROHIBIT: "prohibit"}

// blockedRoute finds the route that refuses an address, if one does.
func blockedRoute(a netip.Addr) (doctor.Route, error) {
	best := doctor.Route{Kind: doctor.NoRoute}
	routes, err := netlink.RouteList(nil, families[configs.FamilyOf(a)])
	if err != nil {
		return best, fmt.Errorf("listing routes: %w", err)
	}
	longest := -1
	for _, r := range routes {
		word, refuses := typeNames[r.Type]
		if !refuses || r.Dst == nil || !r.Dst.Contains(a.AsSlice()) {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones > longest {
			longest = ones
			best = doctor.Route{Kind: doctor.Unusable, Text: word + " " + r.Dst.String()}
		}
	}
	return best, nil
}

// defaultLink is the link of the default route with the lowest metric, or "".
func defaultLink(family int) (string, error) {
	routes, err := netlink.RouteList(nil, family)
	if err != nil {
		return "", fmt.Errorf("listing routes: %w", err)
	}
	best, index := math.MaxInt, 0
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones > 0 {
				continue
			}
		}
		i := r.LinkIndex
		if i == 0 && len(r.MultiPath) > 0 {
			i = r.MultiPath[0].LinkIndex
		}
		if i != 0 && r.Priority < best && (r.Type == unix.RTN_UNICAST || r.Type == 0) {
			best, index = r.Priority, i
		}
	}
	if index == 0 {
		return "", nil
	}
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return "", fmt.Errorf("looking up link %d: %w", index, err)
	}
	return link.Attrs().Name, nil
}
