package rules

import (
	"cmp"
	"slices"
)

// Plan turns one table into another: operations in the order of one transaction. An object that refers to another is deleted
// before it, and added after it.
type Plan struct{ Operations []Operation }

// Operation adds or deletes one object.
type Operation struct {
	Verb   Verb
	Object Object
}

// Verb is what an operation does.
type Verb uint8

// The verbs.
const (
	Delete Verb = iota + 1
	Add
)

// Object is what an operation is about: a Table, CTHelper, Counter, Flowtable, *Chain or *Set, the Elements of a set or
// the Rules of a chain. A *Chain stands for itself without its rules, a *Set for itself without its elements.
type Object interface {
	// Reference is the object's kind and name.
	Reference() Reference
	// declaration is the object in nft's words.
	declaration() string
}

// Reference names an object of the table.
type Reference struct {
	Kind Kind
	Name string
}

// Kind is a kind of object. The kinds stand in the order in which they are added; they are deleted in the other one.
type Kind uint8

// The kinds.
const (
	KindTable Kind = iota + 1
	KindCTHelper
	KindCounter
	KindFlowtable
	KindChain
	KindSet
	KindElements
	KindRules
)

type (
	// Table is our table. Where it is deleted, it goes with everything that is in it.
	Table struct {
		Strange []string // why it is deleted
	}
	// Elements are elements of a set: those of Set.Elements.
	Elements struct{ *Set }
	// Rules are all rules of a chain.
	Rules struct{ *Chain }
)

// Reference implements Object.
func (Table) Reference() Reference { return Reference{KindTable, TableName} }

// Reference implements Object.
func (h CTHelper) Reference() Reference { return Reference{KindCTHelper, h.Name} }

// Reference implements Object.
func (c Counter) Reference() Reference { return Reference{KindCounter, c.Name} }

// Reference implements Object.
func (f Flowtable) Reference() Reference { return Reference{KindFlowtable, f.Name} }

// Reference implements Object.
func (c *Chain) Reference() Reference { return Reference{KindChain, c.Name} }

// Reference implements Object.
func (s *Set) Reference() Reference { return Reference{KindSet, s.Name} }

// Reference implements Object.
func (e Elements) Reference() Reference { return Reference{KindElements, e.Name} }

// Reference implements Object.
func (r Rules) Reference() Reference { return Reference{KindRules, r.Name} }

// order brings the operations into the order in which they are possible.
func (p *Plan) order() {
	slices.SortStableFunc(p.Operations, func(a, b Operation) int {
		if a.Verb != b.Verb {
			return cmp.Compare(a.Verb, b.Verb)
		}
		if a.Verb == Delete {
			a, b = b, a
		}
		return cmp.Compare(a.Object.Reference().Kind, b.Object.Reference().Kind)
	})
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Operations) == 0 }

// Has reports whether the plan does that to an object of that kind.
func (p *Plan) Has(verb Verb, kind Kind) bool {
	return slices.ContainsFunc(p.Operations, func(o Operation) bool { return o.Verb == verb && o.Object.Reference().Kind == kind })
}

// ElementsOnly reports whether the plan changes nothing but elements.
func (p *Plan) ElementsOnly() bool {
	return !slices.ContainsFunc(p.Operations, func(o Operation) bool { return o.Object.Reference().Kind != KindElements })
}

// Elements counts the elements that the plan deletes and adds.
func (p *Plan) Elements() (deleted, added int) {
	for _, o := range p.Operations {
		switch e, ok := o.Object.(Elements); {
		case !ok:
		case o.Verb == Delete:
			deleted += len(e.Elements)
		default:
			added += len(e.Elements)
		}
	}
	return deleted, added
}

// Forgets reports whether the plan deletes elements that the kernel added, and may have expired since then.
func (p *Plan) Forgets() bool {
	return slices.ContainsFunc(p.Operations, func(o Operation) bool {
		e, ok := o.Object.(Elements)
		return ok && o.Verb == Delete && e.Dynamic != nil
	})
}
