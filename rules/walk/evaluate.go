package walk

import (
	"bytes"
	"fmt"
	"slices"
)

// truth has three values.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func (t truth) not() truth { return yes - t }

func (t truth) and(o truth) truth { return min(t, o) }

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// effect is what a rule does to a packet.
type effect struct {
	match    truth
	why      string    // for maybe: what it depends on
	verdicts []Verdict // more than one where the packet leaves open which; none: the next rule follows
	marks    []Mark
}

// matters reports whether it makes a difference that the rule matches.
func (e *effect) matters() bool { return len(e.verdicts) > 0 }

// registers is the kernel's scratch space for one rule.
type registers struct {
	bits
	from [size]string // what each byte was loaded from, for an explanation
}

const size = 64

func (r *registers) set(at int, b bits, name string) {
	for i := range b.data {
		if at < 0 || at+i >= size {
			return
		}
		r.data[at+i], r.known[at+i], r.from[at+i] = b.data[i], b.known[i], name
	}
	for i := len(b.data); i%4 != 0 && at+i < size; i++ { // the kernel pads with zeros
		r.data[at+i], r.known[at+i], r.from[at+i] = 0, 0xff, name
	}
}

// about names the first thing among n bytes that is not known.
func (r *registers) about(at, n int) string {
	for i := at; i >= 0 && i < min(at+n, size); i++ {
		if r.known[i] != 0xff {
			return r.from[i]
		}
	}
	return "a value"
}

// evaluate runs a rule's expressions.
func evaluate(rule *Rule, t *Table, p *Packet) effect {
	r := registers{bits: unknown(size)}
	e := effect{match: yes}
	for _, x := range rule.Exprs {
		e.step(x, &r, t, p)
		if e.match == no {
			return e
		}
	}
	return e
}

// also joins one more condition.
func (e *effect) also(t truth, why string) {
	if t == maybe && e.match == yes {
		e.why = why
	}
	e.match = e.match.and(t)
}

func (e *effect) step(x Expr, r *registers, t *Table, p *Packet) {
	switch x := x.(type) {
	case Load:
		b, ok := p.load(x.From)
		if !ok {
			e.match = no
			return
		}
		r.set(x.Reg, b, x.From.Name)
	case Cmp:
		e.also(compare(r.slice(x.Reg, len(x.Data)), x.Op, x.Data), "it depends on "+r.about(x.Reg, len(x.Data)))
	case Range:
		v := r.slice(x.Reg, len(x.From))
		in := compare(v, GreaterOrEqual, x.From).and(compare(v, LessOrEqual, x.To))
		if x.Not {
			in = in.not()
		}
		e.also(in, "it depends on "+r.about(x.Reg, len(x.From)))
	case Bitwise:
		r.set(x.Dst, bitwise(r.slice(x.Src, len(x.Mask)), x.Mask, x.Xor), r.about(x.Src, len(x.Mask)))
	case Byteorder:
		r.set(x.Dst, turn(r.slice(x.Src, x.Len), x.Size), r.about(x.Src, x.Len))
	case Immediate:
		r.set(x.Reg, known(x.Data), "")
	case Lookup:
		e.lookup(x, r, t)
	case XTMatch:
		m, why := xtMatch(x, p)
		e.also(m, why)
	case XTTarget:
		e.xtTarget(x)
	case NAT:
		e.verdicts = []Verdict{{Kind: Accept}}
		e.marks = append(e.marks, Mark{What: Translated})
	case SetHelper:
		e.marks = append(e.marks, Mark{What: Helper, Name: t.Helpers[x.Object]})
	case NoTrack:
		e.marks = append(e.marks, Mark{What: Untracked})
	case Verdict:
		if x.Kind != Continue {
			e.verdicts = []Verdict{x}
		}
	case Unknown:
		if x.Reg >= 0 {
			r.set(x.Reg, unknown(16), x.Name)
			return
		}
		e.also(maybe, "it depends on "+x.Name)
	case Nothing:
	default:
		e.also(maybe, fmt.Sprintf("it depends on an expression that is not judged (%T)", x))
	}
}

// compare compares data of which some bits are known.
func compare(v bits, op CmpOp, with []byte) truth {
	if len(with) == 0 || len(v.data) != len(with) {
		return maybe // nothing that nf_tables writes
	}
	if op == Equal || op == NotEqual {
		eq := yes
		for i := range with {
			switch {
			case (v.data[i]^with[i])&v.known[i] != 0:
				eq = no
			case v.known[i] != 0xff && eq == yes:
				eq = maybe
			}
		}
		if op == NotEqual {
			return eq.not()
		}
		return eq
	}
	lo, hi := bytes.Clone(v.data), bytes.Clone(v.data) // the least and the greatest that it may be
	for i := range lo {
		lo[i] &= v.known[i]
		hi[i] |= ^v.known[i]
	}
	return order(bytes.Compare(lo, with), bytes.Compare(hi, with), op)
}

// order is what the comparisons of the least and the greatest possible value say.
func order(lo, hi int, op CmpOp) truth {
	var a, b bool
	switch op {
	case Less:
		a, b = lo < 0, hi < 0
	case LessOrEqual:
		a, b = lo <= 0, hi <= 0
	case Greater:
		a, b = lo > 0, hi > 0
	default:
		a, b = lo >= 0, hi >= 0
	}
	if a == b {
		return truthOf(a)
	}
	return maybe
}

func bitwise(v bits, mask, xor []byte) bits {
	out := unknown(len(mask))
	for i := range mask {
		out.known[i] = v.known[i] | ^mask[i]
		out.data[i] = v.data[i] & mask[i]
		if i < len(xor) {
			out.data[i] ^= xor[i]
		}
		out.data[i] &= out.known[i]
	}
	return out
}

// turn reverses each group of n bytes.
func turn(v bits, n int) bits {
	for i := 0; n > 1 && i+n <= len(v.data); i += n {
		slices.Reverse(v.data[i : i+n])
		slices.Reverse(v.known[i : i+n])
	}
	return v
}

// lookup matches against a set, and takes what a map holds.
func (e *effect) lookup(x Lookup, r *registers, t *Table) {
	s := t.Sets[x.Set]
	if s == nil || s.Opaque != "" {
		why := "it depends on the set " + x.Set
		if s != nil {
			why += ", " + s.Opaque
		}
		e.also(maybe, why)
		if x.Verdict {
			e.verdicts = []Verdict{{Kind: Accept}, {Kind: Drop}}
		} else if x.HasDst {
			r.set(x.Dst, unknown(16), "the map "+x.Set)
		}
		return
	}
	in, hits := s.find(r.bits, x.Reg)
	if x.Not {
		in = in.not()
	}
	e.also(in, "it depends on "+r.about(x.Reg, s.width()))
	switch {
	case x.Verdict:
		e.verdicts = nil
		for _, h := range hits {
			if !slices.Contains(e.verdicts, h.Verdict) {
				e.verdicts = append(e.verdicts, h.Verdict)
			}
		}
	case x.HasDst && len(hits) == 1 && in == yes:
		r.set(x.Dst, known(hits[0].Data), "")
	case x.HasDst:
		r.set(x.Dst, unknown(16), "the map "+x.Set)
	}
}

func (s *Set) width() int {
	n := 0
	for _, f := range s.Fields {
		n += f
	}
	return n
}

// find reports whether the set holds what a register holds, and which elements it may be.
func (s *Set) find(r bits, at int) (in truth, hits []*Element) {
	var catchAll *Element
	for i := range s.Elements {
		el := &s.Elements[i]
		if el.CatchAll {
			catchAll = el
			continue
		}
		hit := s.hit(r, at, el)
		if hit == no {
			continue
		}
		if hit == yes {
			return yes, []*Element{el}
		}
		hits = append(hits, el)
		in = maybe
	}
	if catchAll != nil {
		return yes, append(hits, catchAll)
	}
	return in, hits
}

func (s *Set) hit(r bits, at int, el *Element) truth {
	if el.End == nil {
		return compare(r.slice(at, len(el.Key)), Equal, el.Key)
	}
	all, from := yes, 0
	for _, n := range s.Fields {
		to := min(from+n, len(el.Key), len(el.End))
		if from >= to {
			break
		}
		v := r.slice(at+from, to-from)
		all = all.and(compare(v, GreaterOrEqual, el.Key[from:to])).and(compare(v, LessOrEqual, el.End[from:to]))
		from += n
	}
	return all
}
