// Package servers says what the servers behind a VIP have to be told, so that FTPS works through passive slices: nobody
// can rewrite an encrypted reply to PASV, so a server has to name the VIP itself, and ports that lead to it.
//
// It knows the words of vsftpd, ProFTPD and Pure-FTPd. What it says is what the end-to-end tests configure their
// servers with. It is pure.
package servers

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
)

// Advice is for all servers with a passive slice.
type Advice struct {
	Servers  []Server  `json:"servers"`
	Firewall []Opening `json:"firewall"`           // what a firewall on this host has to let in besides the VIPs' ports
	Warnings []string  `json:"warnings,omitempty"` // what will not work
}

// Server is one backend with a passive slice, on one VIP address of each family.
type Server struct {
	Pool     string        `json:"pool"`
	Backend  string        `json:"backend"`
	VIPs     []string      `json:"vips"`           // those that share the addresses
	Named    netip.Addr    `json:"named,omitzero"` // what replies to PASV have to name; invalid in an IPv6 farm
	First    uint16        `json:"first"`          // of the slice
	Last     uint16        `json:"last"`           // of the slice
	Implicit bool          `json:"implicit"`       // TLS from the first byte: port 990
	Files    []File        `json:"files"`          // for vsftpd, ProFTPD and Pure-FTPd
	addrs    configs.Addrs // the server's own, in the families that the VIP has
	port     uint16        // where it listens
}

// File is a piece of a server program's configuration.
type File struct {
	Program string   `json:"program"`           // vsftpd, proftpd, pure-ftpd
	Name    string   `json:"name"`              // the file's
	Family  int      `json:"family,omitempty"`  // 4, 6: a process for this family alone; 0: for all
	Lines   []string `json:"lines"`             // to be taken as they are
	Remarks []string `json:"remarks,omitempty"` // for the admin
}

// Opening is a range of ports on which connections to a VIP address are new, and related to none that is known.
type Opening struct {
	Address netip.Addr `json:"address"`
	First   uint16     `json:"first"`
	Last    uint16     `json:"last"`
	Rule    string     `json:"rule"` // for nftables, in the host's forward chain
}

// implicitPort is where FTP has TLS from the first byte (IANA: ftps).
const implicitPort = 990

// For works out the advice for a valid configuration.
func For(cfg *configs.Config) Advice {
	a := Advice{Servers: []Server{}, Firewall: []Opening{}}
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		for _, p := range v.Pool.Chain() {
			a.pool(v, p)
		}
	}
	for i := range a.Servers {
		a.Servers[i].Files = files(&a.Servers[i])
	}
	a.joinOpenings()
	a.lookForGaps(cfg)
	a.lookForLongAddresses(cfg)
	return a
}

// pool adds the servers of a pool that a VIP uses.
func (a *Advice) pool(v *configs.VIP, p *configs.Pool) {
	for i := range p.Backends {
		b := &p.Backends[i]
		if b.PassivePorts.IsZero() {
			continue
		}
		s := Server{
			Pool: p.Name, Backend: b.Name, VIPs: []string{v.Name}, First: b.PassivePorts.First, Last: b.PassivePorts.Last,
			Implicit: v.Port == implicitPort, port: b.Port,
		}
		for _, f := range configs.Families {
			if vip, own := v.Addrs.Of(f), b.Addrs.Of(f); vip.IsValid() && own.IsValid() {
				s.addrs = with(s.addrs, f, own)
				a.open(vip, b.PassivePorts)
			}
		}
		if s.addrs.V4.IsValid() {
			s.Named = v.Addrs.V4
			if v.Advertise.IsValid() {
				s.Named = v.Advertise
			}
		}
		if len(s.addrs.All()) > 0 {
			a.add(s)
		}
	}
}

func with(a configs.Addrs, f configs.Family, addr netip.Addr) configs.Addrs {
	if f == configs.IPv4 {
		a.V4 = addr
	} else {
		a.V6 = addr
	}
	return a
}

// add adds a server, or another VIP to one that is told the same.
func (a *Advice) add(s Server) {
	for i := range a.Servers {
		have := &a.Servers[i]
		if have.Pool == s.Pool && have.Backend == s.Backend && have.Named == s.Named && have.Implicit == s.Implicit {
			have.VIPs = append(have.VIPs, s.VIPs...)
			for _, f := range configs.Families {
				if addr := s.addrs.Of(f); addr.IsValid() {
					have.addrs = with(have.addrs, f, addr)
				}
			}
			return
		}
	}
	a.Servers = append(a.Servers, s)
}

// open notes the slice on a VIP address.
func (a *Advice) open(vip netip.Addr, r configs.PortRange) {
	a.Firewall = append(a.Firewall, Opening{Address: vip, First: r.First, Last: r.Last})
}

// joinOpenings sorts the openings, makes one of those that touch or are the same, and writes their rules.
func (a *Advice) joinOpenings() {
	slices.SortFunc(a.Firewall, func(x, y Opening) int {
		if c := x.Address.Compare(y.Address); c != 0 {
			return c
		}
		return int(x.First) - int(y.First)
	})
	joined := a.Firewall[:0]
	for _, o := range a.Firewall {
		if n := len(joined); n > 0 && joined[n-1].Address == o.Address && int(o.First) <= int(joined[n-1].Last)+1 {
			joined[n-1].Last = max(joined[n-1].Last, o.Last)
			continue
		}
		joined = append(joined, o)
	}
	for i := range joined {
		o := &joined[i]
		family := "ip"
		if o.Address.Is6() {
			family = "ip6"
		}
		o.Rule = fmt.Sprintf("meta l4proto tcp ct original %s daddr %s ct original proto-dst %d-%d accept",
			family, o.Address, o.First, o.Last)
	}
	a.Firewall = joined
}

// lookForGaps warns of what cannot work: a client of FTPS that lands on a server without a slice, and a server that
// would have to name two addresses.
func (a *Advice) lookForGaps(cfg *configs.Config) {
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		var without []string
		for j := range p.Backends {
			if p.Backends[j].PassivePorts.IsZero() {
				without = append(without, p.Backends[j].Name)
			}
		}
		if n := len(without); n > 0 && n < len(p.Backends) {
			a.warn("pool %s: others have passive_ports, and these have not: %s; FTPS clients that land there cannot transfer",
				p.Name, strings.Join(without, ", "))
		}
	}
	for i := range a.Servers {
		for j := range a.Servers[:i] {
			s, o := &a.Servers[i], &a.Servers[j]
			if s.Pool == o.Pool && s.Backend == o.Backend && s.Named.IsValid() && o.Named.IsValid() && s.Named != o.Named {
				a.warn("backend %s/%s serves VIPs with different addresses, %s (%s) and %s (%s), and can name one of them only: "+
					"give each VIP a pool whose servers have processes or addresses of their own",
					s.Pool, s.Backend, o.Named, o.VIPs[0], s.Named, s.VIPs[0])
			}
		}
	}
}

func (a *Advice) warn(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}
