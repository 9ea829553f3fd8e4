package operate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"ftpvip/rules"
	"ftpvip/rules/kernel"
	"ftpvip/rules/walk"
)

// fakeKernel has our table, and refuses what nf_tables refuses: elements and objects that are not there or are there
// already, what is still referred to, and a transaction that was planned before somebody changed the rules.
type fakeKernel struct {
	mu         sync.Mutex
	table      *rules.Ruleset // nil: not there
	generation int
	commits    int
	meddle     int   // before so many transactions another program changes its own rules
	fail       error // of each transaction
}

// Text is the table as nft text, in the one order that has nothing to do with how it came to be; "" where it is not there.
func (k *fakeKernel) Text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := clone(k.table)
	if r == nil {
		return ""
	}
	slices.SortFunc(r.Counters, func(a, b rules.Counter) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Helpers, func(a, b rules.CTHelper) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Chains, func(a, b *rules.Chain) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Sets, func(a, b *rules.Set) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range r.Sets {
		slices.SortFunc(s.Elements, func(a, b rules.Element) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.End, b.End)) })
	}
	return r.Text()
}

func (k *fakeKernel) Open() (Table, error) { return &fakeTable{k: k}, nil }

func (k *fakeKernel) Features() (Features, func() error, error) {
	return fakeFeatures{}, func() error { return nil }, nil
}

func (k *fakeKernel) HasFlowtables() (bool, error)    { return false, nil }
func (k *fakeKernel) Foreign() (*walk.Ruleset, error) { return &walk.Ruleset{}, nil }

type fakeFeatures struct{}

func (fakeFeatures) HasQueue() bool              { return true }
func (fakeFeatures) HasConnlimit() (bool, error) { return true, nil }
func (fakeFeatures) HasLimit() (bool, error)     { return true, nil }

// fakeTable is a connection to a fakeKernel.
type fakeTable struct {
	k    *fakeKernel
	seen int // generation
}

func (t *fakeTable) Read(*rules.Ruleset) (*rules.Ruleset, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.seen = t.k.generation
	return clone(t.k.table), nil
}

func (t *fakeTable) ReadSlots(want *rules.Ruleset) (*rules.Ruleset, error) {
	have, err := t.Read(want)
	if have == nil || err != nil {
		return nil, err
	}
	slots := &rules.Ruleset{}
	for _, s := range want.Sets {
		if h := have.Set(s.Name); h != nil && s.Slots > 0 {
			slots.Sets = append(slots.Sets, h)
		}
	}
	return slots, nil
}

func (t *fakeTable) Commit(p *rules.Plan) error {
	if p.Empty() {
		return nil
	}
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.k.commits++
	if t.k.meddle > 0 {
		t.k.meddle--
		t.k.generation++
	}
	switch {
	case t.k.fail != nil:
		return t.k.fail
	case t.seen != t.k.generation:
		return kernel.ErrChanged
	}
	next := clone(t.k.table)
	for _, o := range p.Operations {
		if err := carryOut(&next, o); err != nil {
			return fmt.Errorf("%v of %+v: %w", o.Verb, o.Object.Reference(), err)
		}
	}
	t.k.table = next
	t.k.generation++
	return nil
}

func (t *fakeTable) Flush() (bool, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	had := t.k.table != nil
	t.k.table = nil
	t.k.generation++
	return had, t.k.fail
}

func (t *fakeTable) Exists() (bool, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.k.table != nil, nil
}

func (t *fakeTable) Counts() (map[string]uint64, error) { return nil, nil }
func (t *fakeTable) Written() int                       { return 1 }
func (t *fakeTable) Close() error                       { return nil }

func clone(r *rules.Ruleset) *rules.Ruleset {
	if r == nil {
		return nil
	}
	c := &rules.Ruleset{Helpers: slices.Clone(r.Helpers), Counters: slices.Clone(r.Counters), Flowtables: slices.Clone(r.Flowtables)}
	for _, s := range r.Sets {
		set := *s
		set.Elements = slices.Clone(s.Elements)
		c.Sets = append(c.Sets, &set)
	}
	for _, s := range r.Chains {
		chain := *s
		chain.Rules = slices.Clone(s.Rules)
		c.Chains = append(c.Chains, &chain)
	}
	return c
}

// carryOut does one operation of a transaction.
func carryOut(r **rules.Ruleset, o rules.Operation) error {
	isTable := o.Object.Reference().Kind == rules.KindTable
	switch {
	case isTable && o.Verb == rules.Add:
		if *r == nil {
			*r = &rules.Ruleset{}
		}
		return nil
	case *r == nil:
		return unix.ENOENT
	case isTable:
		*r = nil
		return nil
	case o.Verb == rules.Delete:
		return remove(*r, o.Object)
	}
	return insert(*r, o.Object)
}

// insert adds an object.
func insert(r *rules.Ruleset, object rules.Object) error {
	ref := object.Reference()
	if !slices.Contains([]rules.Kind{rules.KindElements, rules.KindRules}, ref.Kind) && exists(r, ref) {
		return unix.EEXIST
	}
	switch x := object.(type) {
	case rules.CTHelper:
		r.Helpers = append(r.Helpers, x)
	case rules.Counter:
		r.Counters = append(r.Counters, x)
	case rules.Flowtable:
		r.Flowtables = append(r.Flowtables, x)
	case *rules.Chain:
		r.Chains = append(r.Chains, &rules.Chain{Name: x.Name, Base: x.Base})
	case *rules.Set:
		set := *x
		set.Elements = nil
		r.Sets = append(r.Sets, &set)
	case rules.Elements:
		set := r.Set(x.Name)
		if set == nil {
			return unix.ENOENT
		}
		for _, e := range x.Elements {
			if slices.ContainsFunc(set.Elements, func(h rules.Element) bool { return h.Key == e.Key && h.End == e.End }) {
				return unix.EEXIST
			}
			if e.Goto != "" && r.Chain(e.Goto) == nil {
				return unix.ENOENT
			}
			set.Elements = append(set.Elements, e)
		}
	case rules.Rules:
		chain := r.Chain(x.Name)
		if chain == nil {
			return unix.ENOENT
		}
		for _, rule := range x.Rules {
			for _, s := range rule.Statements {
				if slices.ContainsFunc(s.Needs().Objects, func(ref rules.Reference) bool { return !exists(r, ref) }) {
					return unix.ENOENT
				}
			}
			chain.Rules = append(chain.Rules, rule)
		}
	default:
		return fmt.Errorf("adding a %T: %w", object, errors.ErrUnsupported)
	}
	return nil
}

// remove deletes an object.
func remove(r *rules.Ruleset, object rules.Object) error {
	ref := object.Reference()
	switch x := object.(type) {
	case rules.Elements:
		set := r.Set(x.Name)
		if set == nil {
			return unix.ENOENT
		}
		for _, e := range x.Elements {
			i := slices.Index(set.Elements, e)
			if i < 0 {
				return unix.ENOENT
			}
			set.Elements = slices.Delete(set.Elements, i, i+1)
		}
		return nil
	case rules.Rules:
		chain := r.Chain(x.Name)
		if chain == nil {
			return unix.ENOENT
		}
		chain.Rules = nil
		return nil
	}
	switch {
	case !exists(r, ref):
		return unix.ENOENT
	case referred(r, ref):
		return unix.EBUSY
	}
	switch x := object.(type) {
	case rules.CTHelper:
		r.Helpers = slices.DeleteFunc(r.Helpers, func(h rules.CTHelper) bool { return h.Name == x.Name })
	case rules.Counter:
		r.Counters = slices.DeleteFunc(r.Counters, func(h rules.Counter) bool { return h.Name == x.Name })
	case rules.Flowtable:
		r.Flowtables = slices.DeleteFunc(r.Flowtables, func(h rules.Flowtable) bool { return h.Name == x.Name })
	case *rules.Chain:
		if len(r.Chain(x.Name).Rules) > 0 {
			return unix.EBUSY
		}
		r.Chains = slices.DeleteFunc(r.Chains, func(h *rules.Chain) bool { return h.Name == x.Name })
	case *rules.Set:
		r.Sets = slices.DeleteFunc(r.Sets, func(h *rules.Set) bool { return h.Name == x.Name })
	default:
		return fmt.Errorf("deleting a %T: %w", object, errors.ErrUnsupported)
	}
	return nil
}

func exists(r *rules.Ruleset, ref rules.Reference) bool {
	named := func(name string) bool { return name == ref.Name }
	switch ref.Kind {
	case rules.KindCTHelper:
		return slices.ContainsFunc(r.Helpers, func(h rules.CTHelper) bool { return named(h.Name) })
	case rules.KindCounter:
		return slices.ContainsFunc(r.Counters, func(h rules.Counter) bool { return named(h.Name) })
	case rules.KindFlowtable:
		return slices.ContainsFunc(r.Flowtables, func(h rules.Flowtable) bool { return named(h.Name) })
	case rules.KindChain:
		return r.Chain(ref.Name) != nil
	case rules.KindSet:
		return r.Set(ref.Name) != nil
	default: // a table, elements and rules are not referred to
		return false
	}
}

// referred tells whether a rule or an element names an object.
func referred(r *rules.Ruleset, ref rules.Reference) bool {
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			for _, s := range rule.Statements {
				if slices.Contains(s.Needs().Objects, ref) {
					return true
				}
			}
		}
	}
	return ref.Kind == rules.KindChain && slices.ContainsFunc(r.Sets, func(s *rules.Set) bool {
		return slices.ContainsFunc(s.Elements, func(e rules.Element) bool { return e.Goto == ref.Name })
	})
}
