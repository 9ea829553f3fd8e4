package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Plan is what turns one table into another. It is carried out in one transaction, in the order of its fields:
// references go before what they refer to, and come after it.
type Plan struct {
	Create        bool // there is no table yet
	Recreate      bool // the table is deleted and made anew, since it holds Strange things
	FlushRules    []*Chain
	DelElems      []*Set // a set with the elements that go
	DelChains     []*Chain
	DelSets       []*Set
	DelHelpers    []CTHelper
	DelCounters   []Counter
	DelFlowtables []Flowtable
	AddHelpers    []CTHelper
	AddCounters   []Counter
	AddFlowtables []Flowtable
	AddSets       []*Set // without their elements
	AddChains     []*Chain
	AddElems      []*Set // a set with the elements that come
	AddRules      []*Chain

	strange []string
	old     map[string]*Chain // chains whose rules are flushed, as they were
}

// Empty tells whether there is nothing to do.
func (p *Plan) Empty() bool {
	return !p.Create && !p.Recreate && len(p.FlushRules) == 0 && len(p.DelElems) == 0 && len(p.DelChains) == 0 &&
		len(p.DelSets) == 0 && len(p.DelHelpers) == 0 && len(p.AddHelpers) == 0 && len(p.AddSets) == 0 &&
		len(p.DelCounters) == 0 && len(p.AddCounters) == 0 &&
		len(p.DelFlowtables) == 0 && len(p.AddFlowtables) == 0 &&
		len(p.AddChains) == 0 && len(p.AddElems) == 0 && len(p.AddRules) == 0
}

// ElementsOnly tells whether the plan changes nothing but elements.
func (p *Plan) ElementsOnly() bool {
	rest := *p
	rest.DelElems, rest.AddElems = nil, nil
	return rest.Empty()
}

// Elements counts the elements that the plan deletes and adds.
func (p *Plan) Elements() (deleted, added int) {
	for _, s := range p.DelElems {
		deleted += len(s.Elements)
	}
	for _, s := range p.AddElems {
		added += len(s.Elements)
	}
	return deleted, added
}

// Diff says what turns have into want. A nil have is a missing table.
func Diff(have, want *Ruleset) *Plan {
	p := &Plan{old: map[string]*Chain{}}
	switch {
	case have == nil:
		p.Create = true
		have = &Ruleset{}
	case len(have.Strange) > 0:
		p.Recreate, p.strange = true, have.Strange
		have = &Ruleset{}
	}
	renewed := p.diffHelpers(have, want)
	p.DelCounters = without(have.Counters, want.Counters)
	p.AddCounters = without(want.Counters, have.Counters)
	p.DelFlowtables = without(have.Flowtables, want.Flowtables)
	p.AddFlowtables = without(want.Flowtables, have.Flowtables)
	for _, f := range p.DelFlowtables {
		renewed[f.Name] = true
	}
	redefined := p.diffSets(have, want)
	p.diffChains(have, want, func(r Rule) bool { return refersTo(r, renewed, redefined) })
	return p
}

// diffHelpers returns the names of the ct helper objects that are deleted or made anew.
func (p *Plan) diffHelpers(have, want *Ruleset) map[string]bool {
	renewed := map[string]bool{}
	wanted := map[CTHelper]bool{}
	for _, h := range want.Helpers {
		wanted[h] = true
	}
	present := map[CTHelper]bool{}
	for _, h := range have.Helpers {
		present[h] = true
		if !wanted[h] {
			p.DelHelpers = append(p.DelHelpers, h)
			renewed[h.Name] = true
		}
	}
	for _, h := range want.Helpers {
		if !present[h] {
			p.AddHelpers = append(p.AddHelpers, h)
			renewed[h.Name] = true
		}
	}
	return renewed
}

// diffSets returns the names of the sets that are deleted or made anew.
func (p *Plan) diffSets(have, want *Ruleset) map[string]bool {
	redefined := map[string]bool{}
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
			p.DelSets = append(p.DelSets, h)
			redefined[w.Name] = true
			p.addSet(w)
		case w.Dynamic == nil:
			p.diffElements(h, w)
		}
	}
	p.forget(have, want)
	for _, h := range have.Sets {
		if old[h.Name] != nil {
			p.DelSets = append(p.DelSets, h)
			redefined[h.Name] = true
		}
	}
	return redefined
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
	p.AddSets = append(p.AddSets, s)
	if len(s.Elements) > 0 {
		p.AddElems = append(p.AddElems, s)
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
		p.DelElems = append(p.DelElems, &gone)
	}
	if len(come.Elements) > 0 {
		p.AddElems = append(p.AddElems, &come)
	}
}

// diffChains compares chains. A chain with any difference in its rules, or with a rule that refers to what is
// made anew, gets all its rules anew: within the transaction nobody sees it empty.
func (p *Plan) diffChains(have, want *Ruleset, renew func(Rule) bool) {
	old := make(map[string]*Chain, len(have.Chains))
	for _, c := range have.Chains {
		old[c.Name] = c
	}
	for _, w := range want.Chains {
		h := old[w.Name]
		delete(old, w.Name)
		if h != nil && h.sameHook(w) && equalRules(h.Rules, w.Rules) && !slices.ContainsFunc(h.Rules, renew) {
			continue
		}
		if h != nil {
			p.flush(h)
			if !h.sameHook(w) {
				p.DelChains = append(p.DelChains, h)
				h = nil
			}
		}
		if h == nil {
			p.AddChains = append(p.AddChains, w)
		}
		if len(w.Rules) > 0 {
			p.AddRules = append(p.AddRules, w)
		}
	}
	for _, h := range have.Chains {
		if old[h.Name] != nil {
			p.flush(h)
			p.DelChains = append(p.DelChains, h)
		}
	}
}

func (p *Plan) flush(c *Chain) {
	if len(c.Rules) > 0 {
		p.FlushRules = append(p.FlushRules, c)
		p.old[c.Name] = c
	}
}

// refersTo tells whether a rule names one of the objects or sets.
func refersTo(r Rule, objects, sets map[string]bool) bool {
	return slices.ContainsFunc(r.Statements, func(s Statement) bool {
		switch s := s.(type) {
		case SetHelper:
			return objects[s.Object]
		case FlowAdd:
			return objects[s.Flowtable]
		}
		return slices.ContainsFunc(setsOf(s), func(name string) bool { return sets[name] })
	})
}

// setsOf names the sets and maps that a statement uses.
func setsOf(s Statement) []string {
	switch s := s.(type) {
	case MatchInSet:
		return []string{s.Set}
	case MatchNotInSet:
		return []string{s.Set}
	case CountOver:
		return []string{s.Set}
	case RateOver:
		return []string{s.Set}
	case VerdictMap:
		return []string{s.Map}
	case DNATSlot:
		return []string{s.Map}
	case DNATKnown:
		return []string{s.Clients, s.Ports}
	case Remember:
		return []string{s.Map}
	case DNATMap:
		return []string{s.Map}
	case SNATMap:
		return []string{s.Map}
	}
	return nil
}

// Text says what the plan does, a line for each thing: "-" goes, "+" comes.
func (p *Plan) Text() string {
	var b strings.Builder
	switch {
	case p.Create:
		fmt.Fprintf(&b, "+ table inet %s\n", TableName)
	case p.Recreate:
		fmt.Fprintf(&b, "- table inet %s (made anew: it holds %s)\n+ table inet %s\n",
			TableName, strings.Join(p.strange, ", "), TableName)
	}
	for _, h := range p.DelHelpers {
		fmt.Fprintf(&b, "- ct helper %s type %q\n", h.Name, h.Type)
	}
	for _, h := range p.AddHelpers {
		fmt.Fprintf(&b, "+ ct helper %s type %q\n", h.Name, h.Type)
	}
	for _, c := range p.DelCounters {
		fmt.Fprintf(&b, "- counter %s\n", c.Name)
	}
	for _, c := range p.AddCounters {
		fmt.Fprintf(&b, "+ counter %s\n", c.Name)
	}
	for _, f := range p.DelFlowtables {
		fmt.Fprintf(&b, "- %s\n", f.text())
	}
	for _, f := range p.AddFlowtables {
		fmt.Fprintf(&b, "+ %s\n", f.text())
	}
	for _, s := range p.DelSets {
		fmt.Fprintf(&b, "- %s\n", s.declaration())
	}
	for _, s := range p.AddSets {
		fmt.Fprintf(&b, "+ %s\n", s.declaration())
	}
	p.elementsText(&b)
	p.chainsText(&b)
	return b.String()
}

// declaration names a set and its type; one that is not ours has no type that we know.
func (s *Set) declaration() string {
	if len(s.Key) == 0 {
		return "set or map " + s.Name + " (not ours, or of another type)"
	}
	timeout := ""
	if s.Dynamic != nil && s.Dynamic.Timeout > 0 {
		timeout = "; timeout " + timeText(s.Dynamic.Timeout)
	}
	return fmt.Sprintf("%s %s { %s%s }", s.kind(), s.Name, s.typeText(), timeout)
}

// elementsText lists elements by set, so that what goes and what comes for a key stand together.
func (p *Plan) elementsText(b *strings.Builder) {
	come := map[string]*Set{}
	for _, s := range p.AddElems {
		come[s.Name] = s
	}
	write := func(sign string, s *Set) {
		if s == nil {
			return
		}
		if s.Dynamic != nil {
			fmt.Fprintf(b, "%s %d elements of %s: clients of backends that hold no slots\n", sign, len(s.Elements), s.Name)
			return
		}
		for _, e := range s.Elements {
			fmt.Fprintf(b, "%s element %s { %s }\n", sign, s.Name, s.ElementText(e))
		}
	}
	for _, s := range p.DelElems {
		write("-", s)
		write("+", come[s.Name])
		delete(come, s.Name)
	}
	for _, s := range p.AddElems {
		write("+", come[s.Name])
	}
}

func (p *Plan) chainsText(b *strings.Builder) {
	for _, c := range p.DelChains {
		fmt.Fprintf(b, "- chain %s%s\n", c.Name, hookText(c))
	}
	for _, c := range p.AddChains {
		fmt.Fprintf(b, "+ chain %s%s\n", c.Name, hookText(c))
	}
	shown := map[string]bool{}
	for _, c := range p.AddRules {
		shown[c.Name] = true
		var old []Rule
		if o := p.old[c.Name]; o != nil {
			old = o.Rules
		}
		rulesText(b, c.Name, old, c.Rules)
	}
	for _, c := range p.FlushRules {
		if !shown[c.Name] {
			rulesText(b, c.Name, c.Rules, nil)
		}
	}
}

func hookText(c *Chain) string {
	if c.Base == nil {
		return ""
	}
	return " { " + c.Base.text() + " }"
}

// rulesText shows which rules of a chain differ; equal ones that are only written anew are not shown, unless
// none differs: then their order does, or what they refer to.
func rulesText(b *strings.Builder, chain string, old, rules []Rule) {
	count := map[string]int{}
	for _, r := range rules {
		count[r.String()]++
	}
	before := b.Len()
	for _, r := range old {
		if count[r.String()] > 0 {
			count[r.String()]--
			continue
		}
		fmt.Fprintf(b, "- rule %s: %s\n", chain, r)
	}
	for _, r := range rules {
		if count[r.String()] > 0 {
			count[r.String()]--
			fmt.Fprintf(b, "+ rule %s: %s\n", chain, r)
		}
	}
	if b.Len() == before {
		fmt.Fprintf(b, "+ rules %s: written anew\n", chain)
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
	return p
}
