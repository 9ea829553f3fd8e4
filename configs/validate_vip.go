package configs

import (
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// defaultPortsMin is the first port that no privileged service has (RFC 2577, section 3).
const defaultPortsMin = 1024

// rawVIP has the keys of a VIP that later checks come back to.
type rawVIP struct {
	name      field[string]
	addresses items[field[string]]
	pool      field[string]
	offload   field[string]
	bind      field[string]
}

func (c *checker) vip(s *section) rawVIP {
	var v VIP
	var raw rawVIP
	raw.name = s.text("name", wantName)
	v.Name = c.name(raw.name, "add it, such as: name: ftp")
	raw.addresses = s.texts("addresses", wantAddresses)
	v.Addrs = c.ownAddrs(raw.addresses)
	v.Port = c.port(s.number("port", portBounds))
	application := s.text("application", list(applications))
	v.Application = choose(c.report, application, applications, FTPControl)
	raw.pool = s.text("pool", wantName)
	raw.pool.val = c.name(raw.pool, "add the name of one of the pools, such as: pool: farm")
	var advertise field[string]
	if n := s.keys["advertise"]; n != nil && n.Kind == yaml.SequenceNode {
		list := sections(s, "advertise", wantAdvertise, c.advertiseTo)
		v.AdvertiseTo = list.all
		advertise.pos, advertise.state = list.pos, list.state
	} else {
		advertise = s.text("advertise", wantAdvertise)
	}
	v.OnHelperDown = choose(c.report, s.text("on_helper_down", list(onHelperDowns)), onHelperDowns, Hold)
	fxp := s.text("fxp", list(fxps))
	v.FXP = choose(c.report, fxp, fxps, FXPRefuse)
	portsMin := s.number("ports_min", portsMinBounds)
	v.PortsMin = uint16(or(portsMin, defaultPortsMin))
	dataSource := s.text("data_source", list(dataSources))
	v.DataSource = choose(c.report, dataSource, dataSources, SourceStrict)
	passiveRange := s.text("passive_range", wantPassive)
	v.PassiveRange = c.portRange(passiveRange)
	withoutSlice := s.text("tls_without_slice", list(withoutSlices))
	v.RefuseTLS = choose(c.report, withoutSlice, withoutSlices, "warn") == "refuse"
	raw.offload = s.text("offload", list(offloads))
	v.Offload = choose(c.report, raw.offload, offloads, offloadOff) == offloadFlowtable
	raw.bind = s.text("bind", wantInterface)
	v.Bind = c.bind(raw.bind)
	s.section("limits", func(s *section) { v.Limits = c.limits(s) })
	v.Allow = c.prefixes(s, "allow", "allow_file", true)
	v.Deny = c.prefixes(s, "deny", "deny_file", false)

	if v.Name == groupAuto || v.Name == groupAll || v.Name == groupOff {
		c.at(raw.name.pos, "is a word that source_group uses", wantName+", and not auto, all or off", "use another name")
	}
	v.Advertise = c.advertise(advertise, v, application.state == given, raw.addresses)
	if v.Application != FTPControl {
		c.unreadCommands(fxp.pos, fxp.state)
		c.unreadCommands(portsMin.pos, portsMin.state)
		c.unreadCommands(dataSource.pos, dataSource.state)
		c.unreadCommands(passiveRange.pos, passiveRange.state)
		c.unreadCommands(withoutSlice.pos, withoutSlice.state)
	}
	c.cfg.VIPs = append(c.cfg.VIPs, v)
	return raw
}

func (c *checker) port(f field[int]) uint16 {
	c.required(f.pos, f.state, portBounds.String(), "add it, such as: port: 21")
	return uint16(f.val)
}

// advertise is what 227 replies name, so it takes a VIP whose replies are read and that is reached by IPv4.
func (c *checker) advertise(f field[string], v VIP, named bool, addresses items[field[string]]) netip.Addr {
	if f.state != given {
		return netip.Addr{}
	}
	switch {
	case v.Application != FTPControl && named:
		c.at(f.pos, "has no effect on a VIP with application tcp: nobody reads its replies", wantAdvertise,
			"delete it, or use application: ftp-control")
	case !v.Addrs.V4.IsValid() && sound(addresses, v.Addrs):
		c.at(f.pos, "has no effect on a VIP without an IPv4 address", wantAdvertise,
			"delete it, or give the VIP an IPv4 address")
	}
	if v.AdvertiseTo != nil {
		return netip.Addr{}
	}
	return c.addr(f, useAdvertise)
}

// advertiseTo is what 227 replies name to some clients.
func (c *checker) advertiseTo(s *section) (a Advertise) {
	clients := s.text("clients", wantPrefix)
	c.required(clients.pos, clients.state, wantPrefix, "add it, such as: clients: 10.0.0.0/8")
	if clients.state == given {
		p, message, remedy := prefix(clients.val)
		if message != "" {
			c.at(clients.pos, message, wantPrefix, remedy)
		}
		a.Clients = p
	}
	address := s.text("address", wantAdvertised)
	c.required(address.pos, address.state, wantAdvertised, "add it, such as: address: vip")
	if address.state == given && address.val != "vip" {
		a.Address = c.addr(address, useAdvertise)
	}
	return a
}

const wantAdvertised = "vip | one IPv4 address"

// unreadCommands reports a key about commands on a VIP whose commands nobody reads.
func (c *checker) unreadCommands(at pos, s state) {
	if s == given {
		c.at(at, "has no effect on a VIP with application tcp: nobody reads its commands", "",
			"delete it, or use application: ftp-control")
	}
}

// uniqueListeners reports two VIPs on one address and port.
func (c *checker) uniqueListeners() {
	first := make(map[netip.AddrPort]int)
	for i, v := range c.cfg.VIPs {
		if v.Port == 0 {
			continue
		}
		for _, a := range v.Addrs.All() {
			ap := netip.AddrPortFrom(a, v.Port)
			j, taken := first[ap]
			if !taken {
				first[ap] = i
				continue
			}
			other := c.raw.vips.all[j]
			c.at(where(c.raw.vips.all[i].addresses, a),
				fmt.Sprintf("port %d of this address belongs to %s (line %d) already", v.Port,
					title(c.cfg.VIPs[j].Name), where(other.addresses, a).line),
				"VIPs that differ in address or port", "change the address or the port of one of the two")
		}
	}
}

// title names a VIP in a message, also one whose name is wrong.
func title(name string) string {
	if name == "" {
		return "a VIP"
	}
	return "VIP " + name
}

// ownAddresses reports backends that sit on a VIP's address: connections to them would come back to this host.
func (c *checker) ownAddresses() {
	vips := make(map[netip.Addr]int)
	for i, v := range c.cfg.VIPs {
		for _, a := range v.Addrs.All() {
			if _, ok := vips[a]; !ok {
				vips[a] = i
			}
		}
	}
	for i, p := range c.cfg.Pools {
		for j, b := range p.Backends {
			for _, a := range b.Addrs.All() {
				if at, ok := vips[a]; ok {
					c.at(where(c.raw.pools.all[i].backends.all[j].addresses, a),
						fmt.Sprintf("is the address of %s, so connections would loop",
							title(c.cfg.VIPs[at].Name)),
						wantAddresses, "use the server's own address")
				}
			}
		}
	}
}

// families reports VIP addresses whose connections no backend can take.
func (c *checker) families() {
	for i, v := range c.cfg.VIPs {
		pool, raw := c.lookup(c.raw.vips.all[i].pool.val)
		if pool == nil || !soundBackends(raw, pool) {
			continue
		}
		for _, a := range v.Addrs.All() {
			if f := FamilyOf(a); !anyBackend(pool, f) {
				c.at(where(c.raw.vips.all[i].addresses, a),
					fmt.Sprintf("no backend of pool %s has an IPv%d address", pool.Name, f), "",
					fmt.Sprintf("give a backend of the pool an IPv%d address, or delete this one", f))
			}
		}
	}
}

func anyBackend(p *Pool, f Family) bool {
	for _, b := range p.Backends {
		if b.Addrs.Of(f).IsValid() {
			return true
		}
	}
	return false
}

// soundBackends reports whether the pool's addresses could all be read. Otherwise the one that is said to be
// missing may be the one that is misspelt.
func soundBackends(raw *rawPool, p *Pool) bool {
	for i, b := range p.Backends {
		if !sound(raw.backends.all[i].addresses, b.Addrs) {
			return false
		}
	}
	return len(p.Backends) > 0
}
