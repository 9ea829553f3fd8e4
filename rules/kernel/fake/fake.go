// Package fake is nf_tables in memory, for tests without root: it has our one table, refuses what the kernel refuses with
// the kernel's error numbers, and prints the table as nft text.
//
// It checks references, the order of operations and generations. It does not check whether ranges overlap, nor what a
// statement does with a packet.
package fake

import (
	"slices"
	"strings"
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

// Restart is a restart of the host: the table is gone.
func (k *Kernel) Restart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table, k.generation = nil, 0
}

// Text is the table as nft text, elements that rules add included; "" if there is none. Objects, sets and chains are in
// the order of their names: two texts are equal where the tables are, however each came to be.
func (k *Kernel) Text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == nil {
		return ""
	}
	r := k.table.ruleset()
	slices.SortFunc(r.Helpers, func(a, b rules.CTHelper) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Counters, func(a, b rules.Counter) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Sets, func(a, b *rules.Set) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Chains, func(a, b *rules.Chain) int { return strings.Compare(a.Name, b.Name) })
	return r.Text()
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

// Exists reports whether our table is there.
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
