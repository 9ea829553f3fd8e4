// Package fake is nf_tables in memory, for tests without root: it has our one table, refuses what the kernel refuses with
// the kernel's error numbers, and prints the table as nft text.
//
// It checks references, the order of operations and generations. It does not check whether ranges overlap, nor what a
// statement does with a packet.
package fake

import (
	"maps"
	"slices"
	"sync"

	"ftpvip/rules"
)

// Kernel is what all connections to nf_tables share.
type Kernel struct {
	// Meanwhile is called before each Commit, when it has not begun yet: what other programs do between Read and Commit.
	// Nil: nothing.
	Meanwhile func()
	// Refuse makes Commit and Flush fail as a kernel that lacks something does; p is nil for Flush. Nil: nothing is refused.
	Refuse func(p *rules.Plan) error
	// Denied is the error of Open, such as EPERM.
	Denied error

	mu         sync.Mutex
	table      *table // nil: there is none
	generation uint32
	open       int
	commits    int
}

// Conn is a connection to nf_tables.
type Conn struct {
	k          *Kernel
	generation uint32
	written    int
	closed     bool
}

// Open connects to nf_tables.
func (k *Kernel) Open() (*Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Denied != nil {
		return nil, k.Denied
	}
	k.open++
	return &Conn{k: k}, nil
}

// Opened is how many connections are open.
func (k *Kernel) Opened() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// Commits is how many transactions changed something.
func (k *Kernel) Commits() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.commits
}

// Touch is another program that changes rules of its own.
func (k *Kernel) Touch() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation++
}

// Learn adds elements to a dynamic set as its rules do: without a new generation.
func (k *Kernel) Learn(set string, elements ...rules.Element) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range elements {
		k.table.sets[set].elements[keyOf(e)] = e
	}
}

// Text is the table as nft text, elements that rules add included; "" where there is none.
func (k *Kernel) Text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == nil {
		return ""
	}
	return k.table.ruleset().Text()
}

// Set returns a set or map as it is, or nil.
func (k *Kernel) Set(name string) *rules.Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == nil || k.table.sets[name] == nil {
		return nil
	}
	return k.table.sets[name].withElements()
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.k.open--
	}
	return nil
}

// Exists tells whether our table is there.
func (c *Conn) Exists() (bool, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	return c.k.table != nil, nil
}

// Flush deletes the whole table. It reports whether there was one.
func (c *Conn) Flush() (bool, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if c.k.table == nil {
		return false, nil
	}
	if c.k.Refuse != nil {
		if err := c.k.Refuse(nil); err != nil {
			return false, err
		}
	}
	c.k.table = nil
	c.k.generation++
	c.k.commits++
	return true, nil
}

// Written is how many operations Commit has carried out so far: a fake sends no bytes.
func (c *Conn) Written() int { return c.written }

// Counts returns the packets of each named counter: none have come.
func (c *Conn) Counts() (map[string]uint64, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	counts := map[string]uint64{}
	if c.k.table != nil {
		for _, counter := range c.k.table.counters {
			counts[counter.Name] = 0
		}
	}
	return counts, nil
}

// HasQueue says that the kernel has nft's queue statement.
func (*Conn) HasQueue() bool { return true }

// HasConnlimit says that it counts connections.
func (*Conn) HasConnlimit() (bool, error) { return true, nil }

// HasLimit says that it limits rates.
func (*Conn) HasLimit() (bool, error) { return true, nil }

// table is our table. Sets and chains are listed in the order in which they were added.
type table struct {
	helpers    []rules.CTHelper
	counters   []rules.Counter
	flowtables []rules.Flowtable
	sets       map[string]*set
	chains     map[string]*rules.Chain
	setOrder   []string
	chainOrder []string
}

type set struct {
	shape    rules.Set // without elements
	elements map[string]rules.Element
}

func newTable() *table { return &table{sets: map[string]*set{}, chains: map[string]*rules.Chain{}} }

// keyOf identifies an element in its set. A key that is in a set twice with other data is refused.
func keyOf(e rules.Element) string { return e.Key + "\x00" + e.End }

// clone is a copy on which a transaction may fail half-way.
func (t *table) clone() *table {
	if t == nil {
		return nil
	}
	c := &table{
		slices.Clone(t.helpers), slices.Clone(t.counters), slices.Clone(t.flowtables),
		make(map[string]*set, len(t.sets)), make(map[string]*rules.Chain, len(t.chains)),
		slices.Clone(t.setOrder), slices.Clone(t.chainOrder),
	}
	for name, s := range t.sets {
		c.sets[name] = &set{s.shape, maps.Clone(s.elements)}
	}
	for name, chain := range t.chains {
		c.chains[name] = &rules.Chain{Name: name, Base: chain.Base, Rules: slices.Clone(chain.Rules)}
	}
	return c
}

// ruleset is the whole table.
func (t *table) ruleset() *rules.Ruleset {
	r := &rules.Ruleset{
		Helpers: slices.Clone(t.helpers), Counters: slices.Clone(t.counters), Flowtables: slices.Clone(t.flowtables),
	}
	for _, name := range t.setOrder {
		r.Sets = append(r.Sets, t.sets[name].withElements())
	}
	for _, name := range t.chainOrder {
		c := t.chains[name]
		r.Chains = append(r.Chains, &rules.Chain{Name: name, Base: c.Base, Rules: slices.Clone(c.Rules)})
	}
	return r
}

// withElements is the set with its elements in order.
func (s *set) withElements() *rules.Set {
	full := s.shape
	for _, key := range slices.Sorted(maps.Keys(s.elements)) {
		full.Elements = append(full.Elements, s.elements[key])
	}
	return &full
}
