package fake

import (
	"maps"
	"slices"

	"ftpvip/rules"
)

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
