package configs

// The numbers that are allowed.
var (
	portBounds       = bounds{1, 65535}
	weightBounds     = bounds{1, 100}
	tierBounds       = bounds{1, 100}
	membersBounds    = bounds{1, MaxBackends}
	queuesBounds     = bounds{1, 64}
	firstQueueBounds = bounds{0, 65535}
	portsMinBounds   = bounds{1024, 65535}
	maxDataBounds    = bounds{1, 1000000}
)

// What is allowed, in an admin's words.
const (
	wantName        = "1 to 24 of a-z, 0-9 and -, not starting with -"
	wantAddresses   = "a list with one IPv4 address, one IPv6 address, or one of each"
	wantAdvertise   = "one IPv4 address, or a list of such as {clients: 10.0.0.0/8, address: vip}"
	wantSNAT        = "none | masquerade | an address | a list with one address of each family"
	wantSourceGroup = "auto | all | off | the name of a VIP that uses this pool"
	wantAliases     = "a list of IPv4 addresses"
	wantPassive     = "FIRST-LAST within 1024..65535, such as 50000-50999"
	wantFallback    = "the name of another pool"
	wantSlowStart   = "0s (none), or 1s..1h"
	wantAffinity    = "0s (none), or 1s..720h"
	wantMetrics     = "ADDRESS:PORT, such as 127.0.0.1:9121 or \"[::1]:9121\""
	wantVIPs        = "a list of VIPs, [] for none"
	wantPools       = "a list of pools"
	wantBackends    = "a list of at least one backend"
)
