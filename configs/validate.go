package configs

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// The words that the enumerated keys take, in the order in which messages list them.
var (
	applications  = []Application{FTPControl, TCP}
	schedulers    = []Scheduler{SourceHash, RoundRobin, Random}
	withoutSlices = []string{"warn", "refuse"}
	onHelperDowns = []OnHelperDown{Hold, Pass}
	fxps          = []FXP{FXPRefuse, FXPAllow}
	dataSources   = []DataSource{SourceStrict, SourceAny}
	carriers      = []Carrier{CarrierAuto, CarrierCTHelper, CarrierSane}
)

// checker makes a Config out of a file. Elements of raw and cfg correspond by their index; what is wrong in
// the file is zero in cfg, so that each mistake is reported once.
type checker struct {
	*input
	raw rawConfig
	cfg *Config
	dir string // of the configuration: files that it names are relative to it

	poolAt map[string]int // index of the first pool of each name
}

// rawConfig has the keys that a check comes back to once everything is read, with their places.
type rawConfig struct {
	vips  items[rawVIP]
	pools items[rawPool]
}

// validate reports everything that is wrong with the file. The Config is complete only if that is nothing.
func validate(in *input, dir string) *Config {
	c := &checker{input: in, cfg: &Config{}, dir: dir}
	readSection(in, in.root, pos{line: in.root.Line}, wholeFile, c.file)

	c.link()
	c.uniqueVIPs()
	c.uniquePools()
	c.references()
	c.fallbacks()
	c.poolDefaults()
	c.uniqueBackends()
	c.ownAddresses()
	c.boundOnce()
	c.families()
	c.sourceGroups()
	c.passiveSlices()
	return c.cfg
}

// file reads the whole file.
func (c *checker) file(s *section) {
	c.raw.vips = sections(s, "vips", wantVIPs, c.vip)
	c.required(c.raw.vips.pos, c.raw.vips.state, wantVIPs, "add the key vips; 'vips: []' is an empty table")
	c.raw.pools = sections(s, "pools", wantPools, c.pool)
	s.section("helper", c.helper)
	c.cfg.OffloadDevices = c.offloadDevices(s.texts("offload_devices", wantDevices))
}

// rootKeys are the keys of the top level: those that are asked for in an empty file.
func rootKeys() (keys []string) {
	c := &checker{input: &input{report: &report{}}, cfg: &Config{}}
	readSection(c.input, nil, pos{}, wholeFile, func(s *section) {
		c.file(s)
		keys = s.asked
	})
	return keys
}

// link resolves the names of pools, the first one of a name.
func (c *checker) link() {
	c.poolAt = make(map[string]int)
	for i, p := range c.cfg.Pools {
		if _, ok := c.poolAt[p.Name]; !ok && p.Name != "" {
			c.poolAt[p.Name] = i
		}
	}
	for i := range c.cfg.VIPs {
		c.cfg.VIPs[i].Pool, _ = c.lookup(c.raw.vips.all[i].pool.val)
	}
	for i := range c.cfg.Pools {
		c.cfg.Pools[i].Fallback, _ = c.lookup(c.raw.pools.all[i].fallback.val)
	}
	c.cfg.Link()
}

// lookup returns the first pool of a name and its raw form, or nil.
func (c *checker) lookup(name string) (*Pool, *rawPool) {
	i, ok := c.poolAt[name]
	if !ok {
		return nil, nil
	}
	return &c.cfg.Pools[i], &c.raw.pools.all[i]
}

// required reports a key that is not there.
func (c *checker) required(at pos, s state, want, remedy string) {
	if s == absent {
		c.at(at, "the key is missing", want, remedy)
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`)

// name checks the name of a VIP, pool or backend. It becomes part of names in the kernel table.
func (c *checker) name(f field[string], remedy string) string {
	c.required(f.pos, f.state, wantName, remedy)
	if f.state != given {
		return ""
	}
	if !nameForm.MatchString(f.val) {
		c.at(f.pos, "is not a name", wantName, "use a short name, such as ftp-1")
		return ""
	}
	return f.val
}

// choose checks a word against the allowed ones.
func choose[T ~string](r *report, f field[string], allowed []T, byDefault T) T {
	if f.state != given {
		return byDefault
	}
	if slices.Contains(allowed, T(f.val)) {
		return T(f.val)
	}
	words := make([]string, len(allowed))
	for i, w := range allowed {
		words[i] = string(w)
	}
	r.at(f.pos, "is not one of the allowed words", list(allowed), guess(f.val, words, "use one of them"))
	return byDefault
}

// guess proposes the nearest word, or else says what to do.
func guess(word string, words []string, otherwise string) string {
	if n := nearest(word, words); n != "" {
		return "did you mean " + n + "?"
	}
	return otherwise
}

// or returns the field's value, or the default if there is none.
func or[T any](f field[T], byDefault T) T {
	if f.state == given {
		return f.val
	}
	return byDefault
}

// Defaults of the helper section.
const (
	defaultQueues     = 2
	defaultFirstQueue = 2100
	defaultMaxClient  = 256
)

// DefaultMaxData is helper.max_data where the file does not say; the kernel may allow less.
const DefaultMaxData = 16384

func (c *checker) helper(s *section) {
	h := &c.cfg.Helper
	h.Queues = or(s.number("queues", queuesBounds), defaultQueues)
	first := s.number("first_queue", firstQueueBounds)
	h.FirstQueue = uint16(or(first, defaultFirstQueue))
	h.Carrier = choose(c.report, s.text("carrier", list(carriers)), carriers, CarrierAuto)
	h.MaxDataPerClient = or(s.number("max_data_per_client", maxDataBounds), defaultMaxClient)
	h.MaxData = or(s.number("max_data", maxDataBounds), DefaultMaxData)
	h.Metrics = c.metrics(s.text("metrics", wantMetrics))
	if last := int(h.FirstQueue) + h.Queues - 1; last > firstQueueBounds.max {
		c.at(first.pos, fmt.Sprintf("the last of %d queues would be number %d", h.Queues, last),
			fmt.Sprintf("%d..%d", firstQueueBounds.min, firstQueueBounds.max-h.Queues+1),
			"start lower, or use fewer queues")
	}
}

// metrics is where the metrics are served: an address of this host, also a loopback or unspecified one.
func (c *checker) metrics(f field[string]) netip.AddrPort {
	if f.state != given || f.val == "" {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(f.val)
	if err != nil || at.Port() == 0 {
		c.at(f.pos, "is not an address with a port", wantMetrics, "write both; 127.0.0.1 keeps it on this host")
		return netip.AddrPort{}
	}
	return at
}

// duplicate reports the second use of a name.
func (c *checker) duplicate(f, first field[string], what string) {
	c.at(f.pos, fmt.Sprintf("%s of that name is on line %d already", what, first.line), "names that differ",
		"rename one of the two")
}

func (c *checker) uniqueVIPs() {
	names := make(map[string]field[string])
	for i, v := range c.cfg.VIPs {
		if first, ok := names[v.Name]; ok {
			c.duplicate(c.raw.vips.all[i].name, first, "a VIP")
		} else if v.Name != "" {
			names[v.Name] = c.raw.vips.all[i].name
		}
	}
	c.uniqueListeners()
}

func (c *checker) uniquePools() {
	names := make(map[string]field[string])
	for i, p := range c.cfg.Pools {
		if first, ok := names[p.Name]; ok {
			c.duplicate(c.raw.pools.all[i].name, first, "a pool")
		} else if p.Name != "" {
			names[p.Name] = c.raw.pools.all[i].name
		}
	}
}

// references checks that each VIP's pool exists.
func (c *checker) references() {
	names := c.poolNames()
	for i, v := range c.cfg.VIPs {
		if f := c.raw.vips.all[i].pool; f.val != "" && v.Pool == nil {
			c.at(f.pos, "no pool has that name", some(names),
				guess(f.val, names, "add a pool of that name, or name one that exists"))
		}
	}
}

// some lists names as allowed values, the first few of them.
func some(names []string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return "the name of a pool; there is none"
	case len(names) > most:
		return strings.Join(names[:most], " | ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, " | ")
}
