package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// rawBackend has the keys of a backend that later checks come back to.
type rawBackend struct {
	name         field[string]
	addresses    items[field[string]]
	port         field[int]
	passivePorts field[string]
}

func (c *checker) backend(s *section) (b Backend, raw rawBackend) {
	raw.name = s.text("name", wantName)
	b.Name = c.name(raw.name, "add it, such as: name: ftp1")
	raw.addresses = s.texts("addresses", wantAddresses)
	b.Addrs = c.ownAddrs(raw.addresses)
	raw.port = s.number("port", portBounds)
	b.Port = uint16(raw.port.val)
	b.Weight = or(s.number("weight", weightBounds), defaultWeight)
	b.Tier = or(s.number("tier", tierBounds), defaultTier)
	b.Aliases = c.aliases(s.texts("aliases", wantAliases))
	raw.passivePorts = s.text("passive_ports", wantPassive)
	b.PassivePorts = c.portRange(raw.passivePorts)
	return b, raw
}

func (c *checker) aliases(l items[field[string]]) (aliases []netip.Addr) {
	for _, f := range l.all {
		a := c.addr(f, useAlias)
		switch {
		case !a.IsValid():
		case slices.Contains(aliases, a):
			c.at(f.pos, "is in the list already", "addresses that differ", "delete it")
		default:
			aliases = append(aliases, a)
		}
	}
	return aliases
}

// minPassive is the first port of a passive slice: RFC 2577 keeps data connections off the ports below.
const minPassive = 1024

func (c *checker) portRange(f field[string]) PortRange {
	if f.state != given {
		return PortRange{}
	}
	from, to, _ := strings.Cut(f.val, "-")
	first, ok1 := port(from)
	last, ok2 := port(to)
	switch {
	case !ok1 || !ok2:
		c.at(f.pos, "is not a range of ports", wantPassive, "write the first port, a minus sign and the last port")
	case first > last:
		c.at(f.pos, "is reversed", wantPassive, fmt.Sprintf("write %d-%d", last, first))
	case first < minPassive:
		c.at(f.pos, fmt.Sprintf("has ports below %d", minPassive), wantPassive,
			"move the range up, and set the same on the server")
	default:
		return PortRange{first, last}
	}
	return PortRange{}
}

func port(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0 && decimal.MatchString(s)
}

// backendPorts gives backends without a port the port of the VIPs that use their pool.
func (c *checker) backendPorts(p *Pool, raw rawPool) {
	ports := []uint16{defaultPort}
	if len(p.VIPs) > 0 {
		ports = nil
	}
	for _, v := range p.VIPs {
		if !slices.Contains(ports, v.Port) {
			ports = append(ports, v.Port)
		}
	}
	for i := range p.Backends {
		f := raw.backends.all[i].port
		switch {
		case f.state != absent || slices.Contains(ports, 0): // a wrong port is reported already
		case len(ports) > 1:
			c.at(f.pos, fmt.Sprintf("the key is missing, and the VIPs of pool %s have different ports: %d and %d",
				p.Name, ports[0], ports[1]), portBounds.String(), "say which port this server listens on")
		default:
			p.Backends[i].Port = ports[0]
		}
	}
}

// uniqueBackends reports names and servers that a pool has twice.
func (c *checker) uniqueBackends() {
	for i, p := range c.cfg.Pools {
		raw := c.raw.pools.all[i].backends.all
		names := make(map[string]field[string])
		servers := make(map[netip.AddrPort]pos)
		for j, b := range p.Backends {
			if first, ok := names[b.Name]; ok {
				c.duplicate(raw[j].name, first, "a backend")
			} else if b.Name != "" {
				names[b.Name] = raw[j].name
			}
			if b.Port == 0 {
				continue
			}
			for _, a := range b.Addrs.All() {
				ap, at := netip.AddrPortFrom(a, b.Port), where(raw[j].addresses, a)
				if first, ok := servers[ap]; ok {
					c.at(at, fmt.Sprintf("port %d of this address is a backend already, on line %d", b.Port, first.line),
						"servers that differ in address or port", "delete one of the two; weight gives a server more clients")
				} else {
					servers[ap] = at
				}
			}
		}
	}
}
