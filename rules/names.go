// Package rules builds the kernel table of ftpvip from a configuration and the state of its backends,
// renders it as nft text and compares it with another one. It is pure: no I/O, no clock.
// Package rules/kernel carries the result to the kernel.
package rules

import (
	"strconv"

	"ftpvip/configs"
)

// Every name that the kernel sees is made in this file.
const (
	// TableName is the name of our one table, of family inet.
	TableName = "ftpvip"
	// CTHelperName is the conntrack helper that we register where the kernel has nfnetlink_cthelper.
	CTHelperName = "ftpvip"
	// SaneHelperName is the kernel's own helper that serves as carrier elsewhere.
	SaneHelperName = "sane"
)

// Base chains. A chain has one hook, so the ones that work at two hooks have a twin.
const (
	chainPrerouting   = "prerouting"
	chainOutput       = "output"
	chainPostrouting  = "postrouting"
	chainAssign       = "assign"
	chainAssignOutput = "assign-output"
	chainControl      = "control"
	chainControlInput = "control-input"
	chainEmpty        = "empty"
	chainEmptyInput   = "empty-input"
	chainProvoke      = "provoke"
	chainEmptyOutput  = "empty-output"
	chainOffload      = "flows" // offload is a word of nft's own
)

// The chains that learn where clients are: their base chains see the first packet of a connection only.
const (
	chainAffinity      = "affinity"
	chainAffinityInput = "affinity-input"
)

// Regular chains, one for each family. All packets of control connections go to select<f>, and on to inspect<f> those that
// may have to be read.
const (
	stemSelect  = "select"
	stemInspect = "inspect"
)

// OpaqueLabel is the bit of the conntrack labels that the helper sets on a control connection that it cannot read, after AUTH
// TLS. Packets of such connections that begin like a TLS record are not queued. On other connections they are, otherwise a client
// could hide a command behind such a byte.
const OpaqueLabel = 115

// chainLabels is a regular chain that nothing goes to: see labelsChain.
const chainLabels = "labels"

// poolChain is the regular chain that picks a slot of a pool.
func poolChain(pool string) string { return "pool-" + pool }

// setName is the name of a set or map of one family: vips4, control6.
func setName(stem string, f configs.Family) string { return stem + strconv.Itoa(int(f)) }

// Stems of the sets and maps that exist once for each family.
const (
	stemVIPs       = "vips"       // address . port : goto pool chain
	stemControl    = "control"    // VIPs with application ftp-control
	stemServers    = "servers"    // their backends
	stemPass       = "pass"       // those of them with on_helper_down: pass
	stemReset      = "reset"      // VIPs, whose connections get a reset where no slot caught them
	stemMasquerade = "masquerade" // VIPs and slices of one-arm pools with snat: masquerade
	stemSNAT       = "snat"       // the same with snat: address
	stemSource     = "source"     // source groups of all that backends open: backend address : VIP
	stemActive     = "active"     // source groups of data connections alone: backend address : VIP
	stemPassive    = "passive"    // passive slices: VIP . port range : backend address
	stemChecks     = "checks"     // socket's tag . VIP . port : backend, for checks with through: vip
	stemHairpin    = "hairpin"    // backends of two-arm pools: as clients of a VIP they are hidden
	stemAddresses  = "addresses"  // the addresses of all VIPs
	stemOffload    = "offload"    // VIPs with offload: flowtable
	stemGuard      = "guard"      // VIPs with lists or limits of clients: goto their chain
	stemFull       = "full"       // VIPs with a limit of connections for each backend: goto their chain
	stemHelper     = "ftp"        // the ct helper objects
	stemLearn      = "learn"      // VIPs of pools with affinity : goto their learning chain
)

// Stems of the maps that a pool with affinity has.
const (
	stemAffinity     = "affinity" // client : backend address
	stemAffinityPort = "affport"  // client : backend port
)

// learnChain is the regular chain that remembers a pool's client.
func learnChain(pool string) string { return "learn-" + pool }

// AffinityName is the name of a pool's map of clients in one family: affinity4-farm.
func AffinityName(pool string, f configs.Family) string { return setName(stemAffinity, f) + "-" + pool }

// SlotsName is the name of a pool's slot table of one family: slots4-farm.
func SlotsName(pool string, f configs.Family) string { return setName("slots", f) + "-" + pool }

// stemOffloadPorts are the passive slices of VIPs with offload: flowtable; flowtableData is their flowtable.
const (
	stemOffloadPorts = "offload-ports"
	flowtableData    = "data"
)

// guardChain refuses clients of a VIP by its lists and limits; fullChain refuses connections to a backend that has
// enough of them from this VIP.
func guardChain(vip string) string { return stemGuard + "-" + vip }
func fullChain(vip string) string  { return stemFull + "-" + vip }

// vipSetName is the name of a set of one VIP and family: deny4-ftp.
func vipSetName(stem string, f configs.Family, vip string) string {
	return setName(stem, f) + "-" + vip
}

// Stems of the sets of one VIP and family.
const (
	stemDeny     = "deny"     // prefixes whose clients are refused
	stemAllow    = "allow"    // prefixes whose clients alone are let in
	stemClients  = "clients"  // connections of each client
	stemRate     = "rate"     // new connections a second of each client
	stemBackends = "backends" // connections to each backend
)

// Refusal is why a new connection was refused. Each reason has a counter.
type Refusal string

// The refusals.
const (
	RefusedByDeny    Refusal = "denied"      // the client is in the list deny
	RefusedByAllow   Refusal = "not-allowed" // the client is not in the list allow
	RefusedByRate    Refusal = "rate"        // too many new connections a second of the client
	RefusedByClients Refusal = "clients"     // too many connections of the client
	RefusedByBackend Refusal = "backends"    // too many connections to the backend
)

// Refusals lists all of them.
var Refusals = [...]Refusal{RefusedByDeny, RefusedByAllow, RefusedByRate, RefusedByClients, RefusedByBackend}

// CounterName is the name of the counter of a VIP's refusals: rate-ftp.
func CounterName(r Refusal, vip string) string { return string(r) + "-" + vip }
