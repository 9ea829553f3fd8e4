// Package walk follows one packet through the chains of other people's tables and says what becomes of it. It knows
// three answers: passed, dropped, and "cannot tell", which is what it says wherever a rule depends on something that
// it does not understand or that the packet leaves open. It is pure; rules/kernel reads the tables.
package walk

import (
	"fmt"
	"slices"

	"ftpvip/configs"
	"ftpvip/rules"
)

// Family is the family of a table, by nft's name.
type Family string

// The families whose tables see routed IP packets.
const (
	INet Family = "inet"
	IP   Family = "ip"
	IP6  Family = "ip6"
)

// sees reports whether chains of a table of family t see packets of family f.
func (t Family) sees(f configs.Family) bool {
	return t == INet || t == IP && f == configs.IPv4 || t == IP6 && f == configs.IPv6
}

// Ruleset is all tables but ours.
type Ruleset struct {
	Tables []*Table
}

// Table is one table.
type Table struct {
	Family  Family
	Name    string
	Chains  []*Chain
	Sets    map[string]*Set
	Helpers map[string]string // ct helper objects: name to the kernel's helper
}

// String is the table as nft names it.
func (t *Table) String() string { return string(t.Family) + " " + t.Name }

// Chain returns the chain of that name, or nil.
func (t *Table) Chain(name string) *Chain {
	i := slices.IndexFunc(t.Chains, func(c *Chain) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return t.Chains[i]
}

// Chain is a chain; Base is nil for a regular one.
type Chain struct {
	Table *Table
	Name  string
	Base  *rules.Base
	Rules []Rule
}

// String is the chain as nft names it.
func (c *Chain) String() string { return c.Table.String() + " " + c.Name }

// Rule is one rule.
type Rule struct {
	Handle uint64
	Exprs  []Expr
}

// Place is where a packet's fate was decided.
type Place struct {
	Base  *Chain // the chain on the hook
	Chain *Chain // the chain of the rule
	Rule  *Rule  // nil: the policy of Base
}

// String is the place in nft's words.
func (p Place) String() string {
	if p.Rule == nil {
		return fmt.Sprintf("the policy of chain %s", p.Chain)
	}
	s := fmt.Sprintf("rule %d of chain %s", p.Rule.Handle, p.Chain)
	if p.Base != p.Chain {
		s += fmt.Sprintf(" (from chain %s)", p.Base.Name)
	}
	return s
}

// Answer is what is known about a packet's fate in one chain.
type Answer uint8

// The answers.
const (
	Passed Answer = iota
	Dropped
	CannotTell
)

// Mark is something that a rule does to a packet on its way, besides its fate.
type Mark struct {
	Place Place
	What  MarkKind
	Name  string // of the helper
	Sure  bool
}

// MarkKind is the kind of a Mark.
type MarkKind uint8

// The kinds.
const (
	Helper     MarkKind = iota + 1 // a conntrack helper is attached
	Untracked                      // conntrack is told to look away
	Translated                     // the packet's addresses are changed
)

// Outcome is what one base chain does to a packet.
type Outcome struct {
	Chain  *Chain
	Answer Answer
	At     Place  // of the drop, where there is one or may be one
	Unsure Place  // for CannotTell: the first rule that could not be judged
	Why    string // for CannotTell: what about it
	Marks  []Mark
}

// Chains lists the base chains of a hook that a packet of family f meets, in the kernel's order. Of those with the same
// priority the order is that of their registration, which nobody lists.
func (r *Ruleset) Chains(kind rules.ChainType, hook rules.Hook, f configs.Family) []*Chain {
	var list []*Chain
	for _, t := range r.Tables {
		if !t.Family.sees(f) {
			continue
		}
		for _, c := range t.Chains {
			if c.Base != nil && c.Base.Hook == hook && c.Base.Type == kind {
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *Chain) int { return a.Base.Priority - b.Base.Priority })
	return list
}

// maxRules bounds how many rules one walk looks at. Chains may be reached by many ways.
const maxRules = 100_000

// Through sends a packet through a base chain.
func Through(c *Chain, p *Packet) Outcome {
	w := walker{packet: p, base: c, budget: maxRules}
	fate := w.chain(c, true, 0)
	o := Outcome{Chain: c, Marks: w.marks, Unsure: w.unsure, Why: w.why}
	if fate.falls {
		if c.Base.Drop {
			fate.drop(Place{Base: c, Chain: c}, false)
		} else {
			fate.accepts = true
		}
	}
	switch {
	case fate.drops && fate.accepts:
		o.Answer, o.At = CannotTell, fate.dropped
	case fate.drops:
		o.Answer, o.At = Dropped, fate.dropped
	}
	return o
}

// fate is what may become of a packet in a chain; at least one of the three.
type fate struct {
	accepts bool
	drops   bool
	falls   bool // reaches the chain's end, or returns
	dropped Place
	guessed bool // dropped is a rule that may not match; another may be the better answer
}

func (f *fate) drop(at Place, guessed bool) {
	if !f.drops || f.guessed && !guessed {
		f.drops, f.dropped, f.guessed = true, at, guessed
	}
}

// walker is one walk through one base chain.
type walker struct {
	packet *Packet
	base   *Chain
	budget int
	marks  []Mark
	unsure Place
	why    string
}

// maxDepth is the kernel's limit of jumps (NFT_JUMP_STACK_SIZE).
const maxDepth = 16

// chain walks a chain that the packet surely, or maybe, comes to.
func (w *walker) chain(c *Chain, sure bool, depth int) (f fate) {
	for i := range c.Rules {
		at := Place{Base: w.base, Chain: c, Rule: &c.Rules[i]}
		if w.budget--; w.budget < 0 {
			w.doubt(at, "there are too many rules")
			f.accepts = true
			f.drop(at, true)
			return f
		}
		e := evaluate(at.Rule, c.Table, w.packet)
		if e.match == no {
			continue
		}
		if e.match == maybe && e.matters() {
			w.doubt(at, e.why)
		}
		for _, m := range e.marks {
			m.Place, m.Sure = at, sure && e.match == yes
			w.marks = append(w.marks, m)
		}
		goesOn := e.match == maybe || len(e.verdicts) == 0
		for _, v := range e.verdicts {
			goesOn = w.verdict(v, at, &f, reach{sure && e.match == yes && len(e.verdicts) == 1, e.match != yes}, depth) || goesOn
		}
		if !goesOn {
			return f
		}
		sure = sure && !f.accepts && !f.drops && !f.falls
	}
	f.falls = true
	return f
}

// reach is how a packet comes to a verdict.
type reach struct {
	sure    bool // it does, in any case
	guessed bool // the rule itself may match or not
}

// verdict adds what a verdict leads to, and reports whether the packet may come to the next rule.
func (w *walker) verdict(v Verdict, at Place, f *fate, by reach, depth int) (goesOn bool) {
	switch v.Kind {
	case Accept:
		f.accepts = true
	case Drop:
		f.drop(at, by.guessed)
	case Queue: // another program decides
		w.doubt(at, "another program decides about the packet (queue)")
		f.accepts = true
		f.drop(at, true)
	case Return:
		f.falls = true
	case Continue:
		return true
	case Jump, Goto:
		target := at.Chain.Table.Chain(v.Chain)
		if target == nil || depth >= maxDepth {
			w.doubt(at, "its target "+v.Chain+" cannot be followed")
			f.accepts = true
			f.drop(at, true)
			return v.Kind == Jump
		}
		sub := w.chain(target, by.sure, depth+1)
		f.accepts = f.accepts || sub.accepts
		if sub.drops {
			f.drop(sub.dropped, sub.guessed || by.guessed)
		}
		if v.Kind == Jump {
			return sub.falls
		}
		f.falls = f.falls || sub.falls
	}
	return false
}

// doubt remembers the first thing that could not be judged.
func (w *walker) doubt(at Place, why string) {
	if w.why == "" {
		w.unsure, w.why = at, why
	}
}
