package rules

import (
	"fmt"
	"strings"
)

// shown is the order in which the text of a plan has the kinds.
var shown = []Kind{KindTable, KindCTHelper, KindCounter, KindFlowtable, KindSet, KindElements, KindChain, KindRules}

// signs are the verbs in the text of a plan.
var signs = map[Verb]string{Delete: "-", Add: "+"}

// Text says what the plan does, a line for each thing: "-" goes, "+" comes.
func (p *Plan) Text() string {
	byKind := map[Kind][]Operation{}
	for _, o := range p.Operations {
		kind := o.Object.Reference().Kind
		byKind[kind] = append(byKind[kind], o)
	}
	var b strings.Builder
	for _, kind := range shown {
		switch kind {
		case KindElements:
			elementsText(&b, byKind[kind])
		case KindRules:
			chainsText(&b, byKind[kind])
		default:
			for _, o := range byKind[kind] {
				fmt.Fprintf(&b, "%s %s%s\n", signs[o.Verb], o.Object.declaration(), o.why())
			}
		}
	}
	return b.String()
}

// why says why a table is made again.
func (o Operation) why() string {
	if t, ok := o.Object.(Table); ok && o.Verb == Delete {
		return fmt.Sprintf(" (made anew: it holds %s)", strings.Join(t.Strange, ", "))
	}
	return ""
}

func (Table) declaration() string { return "table inet " + TableName }

func (h CTHelper) declaration() string { return fmt.Sprintf("ct helper %s type %q", h.Name, h.Type) }

func (c Counter) declaration() string { return "counter " + c.Name }

func (f Flowtable) declaration() string { return f.text() }

func (c *Chain) declaration() string {
	if c.Base == nil {
		return "chain " + c.Name
	}
	return fmt.Sprintf("chain %s { %s }", c.Name, c.Base.text())
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

// text lists the elements of one operation.
func (e Elements) text(b *strings.Builder, verb Verb) {
	if e.Dynamic != nil {
		fmt.Fprintf(b, "%s %d elements of %s: clients of backends that hold no slots\n", signs[verb], len(e.Elements), e.Name)
		return
	}
	for _, element := range e.Elements {
		fmt.Fprintf(b, "%s element %s { %s }\n", signs[verb], e.Name, e.ElementText(element))
	}
}

// elementsText lists elements by set, so that deleted and added elements of a key are next to each other.
func elementsText(b *strings.Builder, operations []Operation) {
	come := map[string]Elements{}
	for _, o := range operations {
		if e, ok := o.Object.(Elements); ok && o.Verb == Add {
			come[e.Name] = e
		}
	}
	for _, o := range operations { // what is deleted comes first
		e, ok := o.Object.(Elements)
		if !ok {
			continue
		}
		if o.Verb == Delete {
			e.text(b, Delete)
		}
		if added, ok := come[e.Name]; ok {
			added.text(b, Add)
			delete(come, e.Name)
		}
	}
}

// chainsText shows the rules of each chain: of those that are written, and then of those that are only deleted.
func chainsText(b *strings.Builder, operations []Operation) {
	old := map[string][]Rule{}
	for _, o := range operations {
		if r, ok := o.Object.(Rules); ok && o.Verb == Delete {
			old[r.Name] = r.Rules
		}
	}
	for _, o := range operations {
		if r, ok := o.Object.(Rules); ok && o.Verb == Add {
			rulesText(b, r.Name, old[r.Name], r.Rules)
			delete(old, r.Name)
		}
	}
	for _, o := range operations {
		if r, ok := o.Object.(Rules); ok && o.Verb == Delete && old[r.Name] != nil {
			rulesText(b, r.Name, r.Rules, nil)
		}
	}
}

// rulesText shows which rules of a chain differ; equal ones that are only written again are not shown, unless
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
