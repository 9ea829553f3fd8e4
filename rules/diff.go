package rules

import "slices"

// Diff returns the plan that turns have into want. A nil have is a missing table.
func Diff(have, want *Ruleset) *Plan {
	p := &Plan{}
	switch {
	case have == nil:
		p.add(Table{})
		have = &Ruleset{}
	case len(have.Strange) > 0:
		p.delete(Table{have.Strange})
		p.add(Table{})
		have = &Ruleset{}
	}
	diffObjects(p, have.Helpers, want.Helpers)
	diffObjects(p, have.Counters, want.Counters)
	diffObjects(p, have.Flowtables, want.Flowtables)
	p.diffSets(have, want)
	p.diffChains(have, want)
	p.order()
	return p
}

func (p *Plan) add(o Object)    { p.Operations = append(p.Operations, Operation{Add, o}) }
func (p *Plan) delete(o Object) { p.Operations = append(p.Operations, Operation{Delete, o}) }

// diffObjects compares objects that are equal or are made again.
func diffObjects[T interface {
	comparable
	Object
}](p *Plan, have, want []T) {
	for _, o := range without(have, want) {
		p.delete(o)
	}
	for _, o := range without(want, have) {
		p.add(o)
	}
}

// diffSets compares sets and their elements. One of another shape is made again.
func (p *Plan) diffSets(have, want *Ruleset) {
	old := make(map[string]*Set, len(have.Sets))
	for _, s := range have.Sets {
		old[s.Name] = s
	}
	had, wanted := have.meters(), want.meters()
	for _, w := range want.Sets {
		h := old[w.Name]
		delete(old, w.Name)
		switch {
		case h == nil:
			p.addSet(w)
		case !h.sameShape(w), had[w.Name] != wanted[w.Name]:
			p.delete(h)
			p.addSet(w)
		case w.Dynamic == nil:
			p.diffElements(h, w)
		}
	}
	p.forget(have, want)
	for _, h := range have.Sets {
		if old[h.Name] != nil {
			p.delete(h)
		}
	}
}

// without lists what is in a and not in b.
func without[T comparable](a, b []T) []T {
	in := make(map[T]bool, len(b))
	for _, x := range b {
		in[x] = true
	}
	var rest []T
	for _, x := range a {
		if !in[x] {
			rest = append(rest, x)
		}
	}
	return rest
}

func (p *Plan) addSet(s *Set) {
	p.add(s)
	if len(s.Elements) > 0 {
		p.add(Elements{s})
	}
}

// diffElements compares two sets of one shape. A key whose data changed is deleted and added.
func (p *Plan) diffElements(have, want *Set) {
	gone, come := *have, *want
	gone.Elements, come.Elements = nil, nil
	old := make(map[Element]bool, len(have.Elements))
	for _, e := range have.Elements {
		old[e] = true
	}
	for _, e := range want.Elements {
		if old[e] {
			delete(old, e)
		} else {
			come.Elements = append(come.Elements, e)
		}
	}
	for _, e := range have.Elements {
		if old[e] {
			gone.Elements = append(gone.Elements, e)
		}
	}
	if len(gone.Elements) > 0 {
		p.delete(Elements{&gone})
	}
	if len(come.Elements) > 0 {
		p.add(Elements{&come})
	}
}

// diffChains compares chains. A chain with any difference in its rules, or with a rule that refers to what is
// deleted or made again, gets all its rules again: within the transaction nobody sees it empty.
func (p *Plan) diffChains(have, want *Ruleset) {
	deleted := map[Reference]bool{}
	for _, o := range p.Operations {
		if o.Verb == Delete {
			deleted[o.Object.Reference()] = true
		}
	}
	renew := func(r Rule) bool {
		return len(deleted) > 0 && slices.ContainsFunc(r.references(), func(to Reference) bool { return deleted[to] })
	}
	old := make(map[string]*Chain, len(have.Chains))
	for _, c := range have.Chains {
		old[c.Name] = c
	}
	for _, w := range want.Chains {
		h := old[w.Name]
		delete(old, w.Name)
		if h != nil && h.sameHook(w) && slices.EqualFunc(h.Rules, w.Rules, Rule.Equal) && !slices.ContainsFunc(h.Rules, renew) {
			continue
		}
		if h != nil {
			p.flush(h)
			if !h.sameHook(w) {
				p.delete(h)
				h = nil
			}
		}
		if h == nil {
			p.add(w)
		}
		if len(w.Rules) > 0 {
			p.add(Rules{w})
		}
	}
	for _, h := range have.Chains {
		if old[h.Name] != nil {
			p.flush(h)
			p.delete(h)
		}
	}
}

func (p *Plan) flush(c *Chain) {
	if len(c.Rules) > 0 {
		p.delete(Rules{c})
	}
}

// SlotDiff is Diff for the slot tables alone: what health changes. Slot tables that have lacks, or has in another
// shape, wait for the next apply.
func SlotDiff(have, want *Ruleset) *Plan {
	p := &Plan{}
	for _, w := range want.Sets {
		if w.Slots == 0 {
			continue
		}
		if h := have.Set(w.Name); h != nil && h.sameShape(w) {
			p.diffElements(h, w)
		}
	}
	p.forget(have, want)
	p.order()
	return p
}
