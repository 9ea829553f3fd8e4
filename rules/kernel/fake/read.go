package fake

import (
	"slices"

	"ftpvip/rules"
)

// Read returns our table, or nil if there is none. What want does not have is returned as the kernel returns it: a set
// without types, and a rule with nothing but a description.
func (c *Conn) Read(want *rules.Ruleset) (*rules.Ruleset, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.generation = c.k.generation
	if c.k.table == nil {
		return nil, nil
	}
	r := c.k.table.ruleset()
	for i, s := range r.Sets {
		r.Sets[i] = known(s, want.Set(s.Name))
	}
	for _, chain := range r.Chains {
		wanted := want.Chain(chain.Name)
		for i, rule := range chain.Rules {
			if wanted == nil || !slices.ContainsFunc(wanted.Rules, rule.Equal) {
				chain.Rules[i] = rules.Rule{Foreign: "not ours (" + rule.String() + ")"}
			}
		}
	}
	return r, nil
}

// ReadSlots returns the slot tables of want and the maps of clients, and nothing else; nil where our table is not.
func (c *Conn) ReadSlots(want *rules.Ruleset) (*rules.Ruleset, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	c.generation = c.k.generation
	if c.k.table == nil {
		return nil, nil
	}
	r := &rules.Ruleset{}
	for _, w := range want.Sets {
		if s := c.k.table.sets[w.Name]; s != nil && (w.Slots > 0 || w.Dynamic != nil && w.IsMap()) {
			r.Sets = append(r.Sets, known(s.withElements(), w))
		}
	}
	return r, nil
}

// known is a set of ours as one reads it that knows what it wants: the kernel does not tell its types, and the elements of
// meters are not read.
func known(s, want *rules.Set) *rules.Set {
	if want == nil || !sameShape(s, want) {
		return &rules.Set{Name: s.Name}
	}
	if s.Dynamic != nil && !s.IsMap() {
		s.Elements = nil
	}
	return s
}

// sameShape reports whether two sets differ in nothing but their elements.
func sameShape(a, b *rules.Set) bool {
	sameDynamic := a.Dynamic == b.Dynamic || a.Dynamic != nil && b.Dynamic != nil && *a.Dynamic == *b.Dynamic
	return slices.Equal(a.Key, b.Key) && slices.Equal(a.Data, b.Data) && a.Interval == b.Interval && a.Slots == b.Slots && sameDynamic
}
