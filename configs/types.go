// Package configs holds the configuration of ftpvip: the types that the rest of the program works with,
// and the strict loading and validation that produces them. A *Config from Load is complete: every default
// is filled in, every reference resolves, every address is unmapped and without a zone.
package configs

import (
	"net/netip"
	"time"
)

// Family is an IP version.
type Family uint8

// The two families. Their numbers are the suffixes of object names in the kernel table.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// Families lists both families in the order in which the kernel table is written.
var Families = [...]Family{IPv4, IPv6}

// FamilyOf returns the family of a valid address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Addrs holds at most one address of each family. A missing one is the zero netip.Addr.
type Addrs struct {
	V4, V6 netip.Addr
}

// Of returns the address of family f; it is invalid if there is none.
func (a Addrs) Of(f Family) netip.Addr {
	if f == IPv4 {
		return a.V4
	}
	return a.V6
}

// Has reports whether addr is one of a.
func (a Addrs) Has(addr netip.Addr) bool {
	return addr.IsValid() && (addr == a.V4 || addr == a.V6)
}

// Without returns a without the address of a family.
func (a Addrs) Without(f Family) Addrs {
	if f == IPv4 {
		a.V4 = netip.Addr{}
	} else {
		a.V6 = netip.Addr{}
	}
	return a
}

// All lists the addresses that are present, IPv4 first.
func (a Addrs) All() []netip.Addr {
	all := make([]netip.Addr, 0, 2)
	for _, f := range Families {
		if addr := a.Of(f); addr.IsValid() {
			all = append(all, addr)
		}
	}
	return all
}

// Application is what a VIP carries.
type Application string

// The applications.
const (
	FTPControl Application = "ftp-control" // the conntrack helper reads the control connection
	TCP        Application = "tcp"         // one plain connection, nobody reads it
)

// Scheduler is how a new connection gets its slot number.
type Scheduler string

// The schedulers.
const (
	SourceHash Scheduler = "source-hash"
	RoundRobin Scheduler = "round-robin"
	Random     Scheduler = "random"
)

// OnHelperDown is what happens to control packets while no helper listens.
type OnHelperDown string

// The choices.
const (
	Hold OnHelperDown = "hold" // packets are dropped, TCP sends them again
	Pass OnHelperDown = "pass" // packets pass unread
)

// FXP is what becomes of a PORT or EPRT that names a third party.
type FXP string

// The choices.
const (
	FXPRefuse FXP = "refuse"
	FXPAllow  FXP = "allow"
)

// DataSource is where passive data connections may come from.
type DataSource string

// The choices.
const (
	SourceStrict DataSource = "strict" // the address of the control connection
	SourceAny    DataSource = "any"    // any: carrier NAT may give each connection of a client another address
)

// SNATMode is how the source of a connection to a backend is hidden.
type SNATMode string

// The modes.
const (
	SNATNone       SNATMode = "none"       // two-arm: backends see the client and route back through this host
	SNATMasquerade SNATMode = "masquerade" // one-arm: the address of the outgoing interface
	SNATAddress    SNATMode = "address"    // one-arm: a given address for each family
)

// SNAT is a pool's `snat` setting. Addrs is set for SNATAddress only.
type SNAT struct {
	Mode  SNATMode
	Addrs Addrs
}

// Carrier is the conntrack helper type that control connections carry so that expectations may hang on them.
type Carrier string

// The carriers.
const (
	CarrierAuto     Carrier = "auto"     // cthelper where the kernel has nfnetlink_cthelper, else sane
	CarrierCTHelper Carrier = "cthelper" // a helper of our own name, registered disabled
	CarrierSane     Carrier = "sane"     // the kernel's SANE helper, inert on FTP
)

// PortRange is an inclusive range of TCP ports; the zero value is no range.
type PortRange struct {
	First, Last uint16
}

// IsZero reports whether r is no range at all.
func (r PortRange) IsZero() bool { return r == PortRange{} }

// Contains reports whether port p lies in r.
func (r PortRange) Contains(p uint16) bool { return !r.IsZero() && r.First <= p && p <= r.Last }

// Overlaps reports whether r and o share a port.
func (r PortRange) Overlaps(o PortRange) bool {
	return !r.IsZero() && !o.IsZero() && r.First <= o.Last && o.First <= r.Last
}

// VIP is the address and port that clients connect to.
type VIP struct {
	Name         string
	Addrs        Addrs
	Port         uint16
	Application  Application
	Pool         *Pool      // never nil after Load
	Advertise    netip.Addr // what 227 replies name; invalid: the VIP's own IPv4 address
	AdvertiseTo  []Advertise
	OnHelperDown OnHelperDown
	FXP          FXP
	PortsMin     uint16 // lowest port that PORT and EPRT may name, 1024 or more
	DataSource   DataSource
	Offload      bool      // data connections go by a flowtable, where the kernel has them
	PassiveRange PortRange // where another port is announced in the place of a busy one; none: anywhere
	RefuseTLS    bool      // AUTH is refused where the backend has no passive slice
	Bind         string    // the interface that gets the VIP's addresses; "": none, somebody else sees to that
	Limits       Limits
	Allow        []netip.Prefix // where there are any, only their clients are let in; masked
	Deny         []netip.Prefix // clients that are refused, also those of Allow; masked
}

// Advertise is what 227 replies name to some clients. The first that fits a client counts.
type Advertise struct {
	Clients netip.Prefix
	Address netip.Addr // invalid: the VIP's own
}

// Limits bound the control connections of one VIP. 0 is no limit. An IPv6 client is a /64 network.
type Limits struct {
	PerClient    int // connections of one client at a time
	NewPerSecond int // new connections of one client a second
	Burst        int // new connections of one client at once; never 0 where NewPerSecond is not
	PerBackend   int // connections to one backend at a time
}

// Backend is one server of a pool.
type Backend struct {
	Name         string
	Addrs        Addrs
	Port         uint16       // never 0 after Load
	Weight       int          // 1..100
	Tier         int          // 1..100; the lowest tier with enough members serves
	Aliases      []netip.Addr // other addresses this backend may name in a 227
	PassivePorts PortRange    // its passive slice, or none
}

// Pool is the servers behind a VIP.
type Pool struct {
	Name        string
	Scheduler   Scheduler
	SNAT        SNAT
	SourceGroup *VIP   // the source of the backends' own connections; nil for none
	SourceAll   bool   // of all of them, and not of data connections only
	MinMembers  int    // quorum: as many members has a pool that serves without help of the next tier or the fallback
	Fallback    *Pool  // serves where there is no quorum; nil for none
	VIPs        []*VIP // whose clients the pool may serve: as their pool or as a fallback; see Link
	// SlowStart is how long a backend that comes back takes until it has its whole weight; 0: none.
	SlowStart time.Duration
	// Affinity is how long a client that opens no new connection is remembered, and keeps its backend; 0: not at all.
	Affinity time.Duration
	Backends []Backend
	Health   Health
}

// Helper is how the conntrack helper runs.
type Helper struct {
	Queues     int    // number of NFQUEUE queues, 1..64
	FirstQueue uint16 // number of the first one
	Carrier    Carrier

	// How many data connections may be announced and not yet open: of one client address, and of all.
	MaxDataPerClient int
	MaxData          int
	Metrics          netip.AddrPort // where Prometheus metrics are served; invalid: nowhere
}

// Config is a whole, valid configuration. References between VIPs and pools point into the two slices.
type Config struct {
	VIPs           []VIP
	Pools          []Pool
	OffloadDevices []string // the interfaces of the flowtable
	Helper         Helper
}

// Ref names one backend. It is the key of health state and of admin state.
type Ref struct {
	Pool, Backend string
}

// String returns "pool/backend".
func (r Ref) String() string { return r.Pool + "/" + r.Backend }

// Pool returns the pool of that name, or nil.
func (c *Config) Pool(name string) *Pool {
	for i := range c.Pools {
		if c.Pools[i].Name == name {
			return &c.Pools[i]
		}
	}
	return nil
}

// Backend returns the backend of that name, or nil.
func (c *Config) Backend(r Ref) *Backend {
	p := c.Pool(r.Pool)
	if p == nil {
		return nil
	}
	for i := range p.Backends {
		if p.Backends[i].Name == r.Backend {
			return &p.Backends[i]
		}
	}
	return nil
}

// vip returns the VIP of that name, or nil.
func (c *Config) vip(name string) *VIP {
	for i := range c.VIPs {
		if c.VIPs[i].Name == name {
			return &c.VIPs[i]
		}
	}
	return nil
}
