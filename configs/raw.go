package configs

import (
	"go.yaml.in/yaml/v3"
)

// The raw configuration is the file's content with the right types and nothing else checked. validate makes
// the real one out of it.
type rawConfig struct {
	pos
	vips           items[rawVIP]
	pools          items[rawPool]
	helper         rawHelper
	offloadDevices items[field[string]]
}

type rawVIP struct {
	pos
	name         field[string]
	addresses    items[field[string]]
	port         field[int]
	application  field[string]
	pool         field[string]
	advertise    field[string]
	onHelperDown field[string]
	fxp          field[string]
	portsMin     field[int]
	dataSource   field[string]
	offload      field[string]
	bind         field[string]
	limits       rawLimits
	allow, deny  rawList
}

type rawPool struct {
	pos
	name        field[string]
	scheduler   field[string]
	snat        items[field[string]] // a single value is a list of one
	snatIsList  bool
	sourceGroup field[string]
	minMembers  field[int]
	fallback    field[string]
	slowStart   field[string]
	affinity    field[string]
	backends    items[rawBackend]
	health      rawHealth
}

type rawBackend struct {
	pos
	name         field[string]
	addresses    items[field[string]]
	port         field[int]
	weight       field[int]
	tier         field[int]
	aliases      items[field[string]]
	passivePorts field[string]
}

type rawHelper struct {
	queues     field[int]
	firstQueue field[int]
	carrier    field[string]
	maxClient  field[int]
	maxData    field[int]
	metrics    field[string]
}

// The keys of each map, in the order of the reference file.
var (
	rootKeys = []string{"vips", "pools", "helper", "offload_devices"}
	vipKeys  = []string{"name", "addresses", "port", "application", "pool", "advertise", "on_helper_down",
		"fxp", "ports_min", "data_source", "offload", "bind", "limits", "allow", "allow_file", "deny", "deny_file"}
	poolKeys = []string{"name", "scheduler", "snat", "source_group", "min_members", "fallback", "slow_start", "affinity",
		"backends", "health"}
	backendKeys = []string{"name", "addresses", "port", "weight", "tier", "aliases", "passive_ports"}
	helperKeys  = []string{"queues", "first_queue", "carrier", "max_data_per_client", "max_data", "metrics"}
)

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
	wantAdvertise   = "one IPv4 address"
	wantSNAT        = "none | masquerade | an address | a list with one address of each family"
	wantSourceGroup = "auto | off | the name of a VIP that uses this pool"
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

// decode reads the whole tree.
func decode(r *report, root *yaml.Node, overrides map[string]override) rawConfig {
	d := &decoder{report: r, overrides: overrides}
	o, _ := d.object(root, "", rootKeys)
	return rawConfig{
		pos:            o.pos,
		vips:           decodeList(d, o, "vips", wantVIPs, d.vip),
		pools:          decodeList(d, o, "pools", wantPools, d.pool),
		helper:         d.helper(d.section(o, "helper", helperKeys)),
		offloadDevices: d.texts(o, "offload_devices", wantDevices),
	}
}

// section reads a map that may be left out, which is the same as an empty one.
func (d *decoder) section(o object, key string, known []string) object {
	n, ok := o.keys[key]
	if !ok {
		return object{pos: o.at(key)}
	}
	s, _ := d.object(n, join(o.path, key), known)
	return s
}

func (d *decoder) vip(n *yaml.Node, path string) rawVIP {
	o, ok := d.object(n, path, vipKeys)
	if !ok {
		return rawVIP{pos: o.pos}.broken()
	}
	return rawVIP{
		pos:          o.pos,
		name:         d.text(o, "name", wantName),
		addresses:    d.texts(o, "addresses", wantAddresses),
		port:         d.number(o, "port", portBounds),
		application:  d.text(o, "application", list(applications)),
		pool:         d.text(o, "pool", wantName),
		advertise:    d.text(o, "advertise", wantAdvertise),
		onHelperDown: d.text(o, "on_helper_down", list(onHelperDowns)),
		fxp:          d.text(o, "fxp", list(fxps)),
		portsMin:     d.number(o, "ports_min", portsMinBounds),
		dataSource:   d.text(o, "data_source", list(dataSources)),
		offload:      d.text(o, "offload", list(offloads)),
		bind:         d.text(o, "bind", wantInterface),
		limits:       d.limits(d.section(o, "limits", limitKeys)),
		allow:        d.prefixes(o, "allow"),
		deny:         d.prefixes(o, "deny"),
	}
}

func (d *decoder) pool(n *yaml.Node, path string) rawPool {
	o, ok := d.object(n, path, poolKeys)
	if !ok {
		return rawPool{pos: o.pos}.broken()
	}
	p := rawPool{
		pos:         o.pos,
		name:        d.text(o, "name", wantName),
		scheduler:   d.text(o, "scheduler", list(schedulers)),
		sourceGroup: d.text(o, "source_group", wantSourceGroup),
		minMembers:  d.number(o, "min_members", membersBounds),
		fallback:    d.text(o, "fallback", wantFallback),
		slowStart:   d.duration(o, "slow_start", wantSlowStart),
		affinity:    d.duration(o, "affinity", wantAffinity),
		backends:    decodeList(d, o, "backends", wantBackends, d.backend),
		health:      d.health(d.section(o, "health", healthKeys)),
	}
	if n, ok := o.keys["snat"]; ok && n.Kind != yaml.SequenceNode {
		one := d.textNode(n, join(path, "snat"), wantSNAT)
		p.snat = items[field[string]]{pos: one.pos, state: one.state, all: []field[string]{one}}
	} else {
		p.snat, p.snatIsList = d.texts(o, "snat", wantSNAT), ok
	}
	return p
}

func (d *decoder) backend(n *yaml.Node, path string) rawBackend {
	o, ok := d.object(n, path, backendKeys)
	if !ok {
		return rawBackend{pos: o.pos}.broken()
	}
	return rawBackend{
		pos:          o.pos,
		name:         d.text(o, "name", wantName),
		addresses:    d.texts(o, "addresses", wantAddresses),
		port:         d.number(o, "port", portBounds),
		weight:       d.number(o, "weight", weightBounds),
		tier:         d.number(o, "tier", tierBounds),
		aliases:      d.texts(o, "aliases", wantAliases),
		passivePorts: d.text(o, "passive_ports", wantPassive),
	}
}

// duration reads a duration as a string: the one mistake that everybody makes deserves its own words.
func (d *decoder) duration(o object, key, want string) field[string] {
	n, ok := o.keys[key]
	if !ok || n.Kind != yaml.ScalarNode || !isNumber(n) {
		return d.text(o, key, want)
	}
	f := field[string]{pos: place(n, join(o.path, key)), state: bad}
	d.at(f.pos, "has no unit", want, "write "+shortened(n.Value)+"s for seconds, or use ms or m")
	return f
}

func isNumber(n *yaml.Node) bool { return n.ShortTag() == "!!int" || n.ShortTag() == "!!float" }

func (d *decoder) helper(o object) rawHelper {
	return rawHelper{
		queues:     d.number(o, "queues", queuesBounds),
		firstQueue: d.number(o, "first_queue", firstQueueBounds),
		carrier:    d.text(o, "carrier", list(carriers)),
		maxClient:  d.number(o, "max_data_per_client", maxDataBounds),
		maxData:    d.number(o, "max_data", maxDataBounds),
		metrics:    d.text(o, "metrics", wantMetrics),
	}
}

// texts reads a list of strings.
func (d *decoder) texts(o object, key, want string) items[field[string]] {
	if n := o.keys[key]; n != nil && n.Kind == yaml.ScalarNode && !isNull(n) {
		at := place(n, join(o.path, key))
		d.wrongType(at, n, want, "put it in brackets: ["+at.text+"]")
		return items[field[string]]{pos: at, state: bad}
	}
	return decodeList(d, o, key, want, func(n *yaml.Node, path string) field[string] {
		return d.textNode(n, path, want)
	})
}

// broken marks the required keys as reported: an element that is no map misses them all, which helps nobody.
func (v rawVIP) broken() rawVIP {
	v.name.state, v.addresses.state, v.port.state, v.pool.state = bad, bad, bad, bad
	return v
}

func (p rawPool) broken() rawPool {
	p.name.state, p.backends.state = bad, bad
	return p
}

func (b rawBackend) broken() rawBackend {
	b.name.state, b.addresses.state = bad, bad
	return b
}
