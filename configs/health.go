package configs

import (
	"slices"
	"time"
)

// Check is the kind of health check of a pool.
type Check string

// The checks.
const (
	CheckNone        Check = "none"
	CheckTCP         Check = "tcp"
	CheckFTPBanner   Check = "ftp-banner"
	CheckFTPLogin    Check = "ftp-login"
	CheckFTPTransfer Check = "ftp-transfer"
	CheckExec        Check = "exec"
)

// TLSMode is when a check of FTP starts TLS.
type TLSMode string

// The modes.
const (
	TLSNone     TLSMode = "none"
	TLSExplicit TLSMode = "explicit" // AUTH TLS after the greeting (RFC 4217)
	TLSImplicit TLSMode = "implicit" // before it, as on port 990
)

// TLS is how a check speaks TLS and what it expects of the certificate.
type TLS struct {
	Mode       TLSMode
	CA         string // PEM file of the authorities to trust; "": the system's
	ServerName string // what the certificate has to name; "": the address that is checked
	MinVersion string // 1.0 to 1.3
	Pin        string // SHA-256 of the certificate in lower-case hex; then nothing else of it is judged
}

// DataMode is how a check opens data connections.
type DataMode string

// The modes, named as their commands.
const (
	ModePASV DataMode = "pasv"
	ModeEPSV DataMode = "epsv"
	ModePORT DataMode = "port"
	ModeEPRT DataMode = "eprt"
)

// Speaks reports whether the mode exists in a family: PASV and PORT have no room for IPv6 addresses.
func (m DataMode) Speaks(f Family) bool { return f == IPv4 || m == ModeEPSV || m == ModeEPRT }

// Through is which way a check reaches a backend.
type Through string

// The ways.
const (
	ThroughBackend Through = "backend" // straight
	ThroughVIP     Through = "vip"     // by the VIP, and so by this host's rules and helper
)

// Flap is when a backend counts as flapping; the zero value is never.
type Flap struct {
	Changes int           // more changes of state than this
	Window  time.Duration // within this time
}

// OnAllDown is what becomes of a pool whose last member fails.
type OnAllDown string

// The choices.
const (
	AllDownEmpty    OnAllDown = "empty"     // nobody serves: clients are refused at once
	AllDownFallback OnAllDown = "fallback"  // the pool's fallback serves
	AllDownKeepLast OnAllDown = "keep-last" // who served last goes on, in case it is the check that is wrong
)

// OnDown is what becomes of the sessions of a backend that goes down.
type OnDown string

// The choices.
const (
	DownKeep  OnDown = "keep"  // they go on if they can: it may be the check that is wrong
	DownReset OnDown = "reset" // both ends get a reset, so that clients come again at once
)

// Health is how the backends of a pool are judged.
type Health struct {
	Check   Check
	Timeout time.Duration
	Rise    int // consecutive successes until a backend that is down is up
	Fall    int // consecutive failures until a backend that is up is down

	// When `health --watch` looks: how long after the last time, and by how many percent more or less.
	Interval     time.Duration
	IntervalDown time.Duration // the same for backends that are down
	Jitter       int           // 0..50

	Source  Addrs // what checks connect from; without an address of a family the kernel chooses
	Through Through

	// ftp-login and ftp-transfer
	User         string
	Password     Secret
	PasswordFile string // read for each round; "": Password
	TLS          TLS

	// ftp-transfer
	Modes  []DataMode
	Path   string // of the file that is retrieved; a folder, to list, where it is "" or ends with a slash
	Size   int64  // bytes that the file must have; 0: any
	SHA256 string // of the file, in lower-case hex; "": any
	Store  string // how the path of a file begins that is stored, read back and deleted; "": none

	Command []string // exec: absolute path and arguments

	Flap      Flap
	OnAllDown OnAllDown
	OnDown    OnDown
	Notify    []string // command to run for each transition; none: nil
	Restore   bool     // a round restores our table in the kernel, and the addresses of bind, if somebody removed or changed them
}

// Restores reports whether rounds restore the table: all pools have to agree, as they share it.
func (c *Config) Restores() bool {
	return !slices.ContainsFunc(c.Pools, func(p Pool) bool { return !p.Health.Restore })
}
