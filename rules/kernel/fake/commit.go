package fake

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

// Commit carries a plan out, whole or not at all. It returns kernel.ErrChanged where the rules changed since Read, and the
// error of the first operation that the kernel would refuse (net/netfilter/nf_tables_api.c).
func (c *Conn) Commit(p *rules.Plan) error { return c.commit(p, false) }

// CommitAnyway is Commit where others may have changed their rules since Read.
func (c *Conn) CommitAnyway(p *rules.Plan) error {
	err := c.commit(p, true)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		return kernel.ErrChanged
	}
	return err
}

func (c *Conn) commit(p *rules.Plan, anyway bool) error {
	if p.Empty() {
		return nil
	}
	if c.k.Meanwhile != nil {
		c.k.Meanwhile()
	}
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if c.generation != c.k.generation && !anyway {
		return kernel.ErrChanged // ERESTART of nfnetlink_rcv_batch
	}
	if c.k.Refuse != nil {
		if err := c.k.Refuse(p); err != nil {
			return err
		}
	}
	next := c.k.table.clone()
	for _, o := range p.Operations {
		var err error
		if next, err = next.carry(o); err != nil {
			if errors.Is(err, unix.ENOENT) && p.Forgets() {
				return kernel.ErrChanged
			}
			ref := o.Object.Reference()
			return fmt.Errorf("writing table inet %s (nothing was changed): operation on %q: %w", rules.TableName, ref.Name, err)
		}
	}
	c.k.table = next
	c.k.generation++
	c.k.commits++
	c.written += len(p.Operations)
	return nil
}

// carry carries one operation out and returns the table, which is another one where the table itself comes or goes.
func (t *table) carry(o rules.Operation) (*table, error) {
	added := o.Verb == rules.Add
	if _, ok := o.Object.(rules.Table); ok {
		switch {
		case !added && t == nil:
			return nil, unix.ENOENT
		case !added:
			return nil, nil
		case t == nil:
			return newTable(), nil
		}
		return t, nil // without NLM_F_EXCL one that is there is no error
	}
	if t == nil {
		return nil, unix.ENOENT
	}
	var err error
	switch object := o.Object.(type) {
	case rules.CTHelper:
		err = plain(t, &t.helpers, object, func(h rules.CTHelper) string { return h.Name }, added)
	case rules.Counter:
		err = plain(t, &t.counters, object, func(n rules.Counter) string { return n.Name }, added)
	case rules.Flowtable:
		err = plain(t, &t.flowtables, object, func(f rules.Flowtable) string { return f.Name }, added)
	case *rules.Chain:
		err = t.chain(object, added)
	case *rules.Set:
		err = t.set(object, added)
	case rules.Elements:
		err = t.elements(object.Set, added)
	case rules.Rules:
		err = t.rules(object.Chain, added)
	default:
		err = fmt.Errorf("no such object: %T", o.Object)
	}
	return t, err
}

// plain adds or deletes an object that has nothing in it.
func plain[T rules.Object](t *table, list *[]T, o T, name func(T) string, added bool) error {
	at := slices.IndexFunc(*list, func(x T) bool { return name(x) == name(o) })
	switch {
	case added && at < 0:
		*list = append(*list, o)
	case added: // it stays as it is
	case at < 0:
		return unix.ENOENT
	case t.used(o.Reference()):
		return unix.EBUSY
	default:
		*list = slices.Delete(*list, at, at+1)
	}
	return nil
}

// used reports whether a rule or an element refers to an object.
func (t *table) used(ref rules.Reference) bool {
	for _, c := range t.chains {
		for _, r := range c.Rules {
			for _, s := range r.Statements {
				if slices.Contains(s.Needs().Objects, ref) {
					return true
				}
			}
		}
	}
	if ref.Kind != rules.KindChain {
		return false
	}
	for _, s := range t.sets {
		for _, e := range s.elements {
			if e.Goto == ref.Name {
				return true
			}
		}
	}
	return false
}

// has reports whether an object is there that a rule or an element wants to refer to.
func (t *table) has(ref rules.Reference) bool {
	switch ref.Kind {
	case rules.KindCTHelper:
		return slices.ContainsFunc(t.helpers, func(h rules.CTHelper) bool { return h.Name == ref.Name })
	case rules.KindCounter:
		return slices.ContainsFunc(t.counters, func(c rules.Counter) bool { return c.Name == ref.Name })
	case rules.KindFlowtable:
		return slices.ContainsFunc(t.flowtables, func(f rules.Flowtable) bool { return f.Name == ref.Name })
	case rules.KindSet:
		return t.sets[ref.Name] != nil
	case rules.KindChain:
		return t.chains[ref.Name] != nil
	default:
		return false
	}
}

func (t *table) chain(c *rules.Chain, added bool) error {
	have := t.chains[c.Name]
	switch {
	case added && have == nil:
		t.chains[c.Name] = &rules.Chain{Name: c.Name, Base: c.Base}
		t.chainOrder = append(t.chainOrder, c.Name)
	case added && (have.Base == nil) != (c.Base == nil), added && have.Base != nil && *have.Base != *c.Base:
		return unix.EEXIST
	case added: // it stays as it is
	case have == nil:
		return unix.ENOENT
	default:
		delete(t.chains, c.Name) // with its rules, which then refer to nothing
		if t.used(c.Reference()) {
			return unix.EBUSY
		}
		t.chainOrder = slices.DeleteFunc(t.chainOrder, func(name string) bool { return name == c.Name })
	}
	return nil
}

func (t *table) set(s *rules.Set, added bool) error {
	have := t.sets[s.Name]
	switch {
	case added && have == nil:
		shape := *s
		shape.Elements = nil
		t.sets[s.Name] = &set{shape, map[string]rules.Element{}}
		t.setOrder = append(t.setOrder, s.Name)
	case added && !sameShape(&have.shape, s):
		return unix.EEXIST
	case added: // it stays as it is
	case have == nil:
		return unix.ENOENT
	case t.used(s.Reference()):
		return unix.EBUSY
	default:
		delete(t.sets, s.Name)
		t.setOrder = slices.DeleteFunc(t.setOrder, func(name string) bool { return name == s.Name })
	}
	return nil
}

func (t *table) elements(s *rules.Set, added bool) error {
	have := t.sets[s.Name]
	if have == nil {
		return unix.ENOENT
	}
	for _, e := range s.Elements {
		old, there := have.elements[keyOf(e)]
		switch {
		case !added && !there:
			return unix.ENOENT
		case !added:
			delete(have.elements, keyOf(e))
		case there && old != e:
			return unix.EEXIST // the key has other data
		case e.Goto != "" && t.chains[e.Goto] == nil:
			return unix.ENOENT
		case e.Goto != "" && t.chains[e.Goto].Base != nil:
			return unix.EOPNOTSUPP
		case !there && full(have):
			return unix.ENFILE
		default:
			have.elements[keyOf(e)] = e
		}
	}
	return nil
}

// full reports whether a set has as many elements as it may.
func full(s *set) bool {
	size := s.shape.Slots
	if s.shape.Dynamic != nil {
		size = s.shape.Dynamic.Size
	}
	return size > 0 && len(s.elements) >= size
}

// rules adds rules to the end of a chain, or deletes all that it has.
func (t *table) rules(c *rules.Chain, added bool) error {
	have := t.chains[c.Name]
	if have == nil {
		return unix.ENOENT
	}
	if !added {
		have.Rules = nil
		return nil
	}
	for _, r := range c.Rules {
		for _, s := range r.Statements {
			for _, ref := range s.Needs().Objects {
				if !t.has(ref) {
					return fmt.Errorf("rule %q needs %q: %w", r, ref.Name, unix.ENOENT)
				}
				if ref.Kind == rules.KindChain && t.chains[ref.Name].Base != nil {
					return fmt.Errorf("rule %q goes to a base chain: %w", r, unix.EOPNOTSUPP)
				}
			}
		}
		have.Rules = append(have.Rules, r)
	}
	return nil
}
