package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// Commit carries a plan out, in one transaction: it happens whole or not at all. It returns ErrChanged where
// anybody changed the kernel's rules since Read.
func (k *Kernel) Commit(p *rules.Plan) error {
	if p.Empty() {
		return nil
	}
	if p.Recreate {
		k.conn.DelTable(k.table)
	}
	if p.Create || p.Recreate {
		k.conn.AddTable(k.table)
	}
	if err := k.remove(p); err != nil {
		return err
	}
	if err := k.add(p); err != nil {
		return err
	}
	if err := k.conn.FlushWithGenID(k.generation); err != nil {
		if errors.Is(err, unix.ERESTART) {
			return ErrChanged
		}
		return fmt.Errorf("writing table inet %s (nothing was changed): %w", rules.TableName, explain(err))
	}
	return nil
}

func (k *Kernel) chain(c *rules.Chain) *nftables.Chain {
	return &nftables.Chain{Name: c.Name, Table: k.table}
}

// remove queues the deletions: first what refers, then what is referred to.
func (k *Kernel) remove(p *rules.Plan) error {
	for _, c := range p.FlushRules {
		k.conn.FlushChain(k.chain(c))
	}
	for _, s := range p.DelElems {
		if err := k.conn.SetDeleteElements(k.set(s), elements(s)); err != nil {
			return fmt.Errorf("encoding the elements of %s: %w", s.Name, err)
		}
	}
	for _, s := range p.DelSets {
		k.conn.DelSet(&nftables.Set{Table: k.table, Name: s.Name})
	}
	for _, c := range p.DelChains {
		k.conn.DelChain(k.chain(c))
	}
	for _, h := range p.DelHelpers {
		k.conn.DeleteObject(k.object(h))
	}
	return nil
}

// add queues the additions: first what is referred to, then what refers.
func (k *Kernel) add(p *rules.Plan) error {
	for _, h := range p.AddHelpers {
		k.conn.AddObj(k.object(h))
	}
	for _, c := range p.AddChains {
		k.conn.AddChain(k.newChain(c))
	}
	for _, s := range p.AddSets {
		if err := k.conn.AddSet(k.set(s), nil); err != nil {
			return fmt.Errorf("encoding set %s: %w", s.Name, err)
		}
	}
	for _, s := range p.AddElems {
		if err := k.conn.SetAddElements(k.set(s), elements(s)); err != nil {
			return fmt.Errorf("encoding the elements of %s: %w", s.Name, err)
		}
	}
	for _, c := range p.AddRules {
		for _, r := range c.Rules {
			exprs, err := compile(r, k.nativeQueue)
			if err != nil {
				return err
			}
			k.conn.AddRule(&nftables.Rule{Table: k.table, Chain: k.chain(c), Exprs: exprs})
		}
	}
	return nil
}

func (k *Kernel) object(h rules.CTHelper) *nftables.NamedObj {
	return &nftables.NamedObj{
		Table: k.table, Name: h.Name, Type: nftables.ObjTypeCtHelper,
		Obj: &expr.CtHelper{Name: h.Type, L3Proto: familyOf(h.Family).l3proto, L4Proto: unix.IPPROTO_TCP},
	}
}

func (k *Kernel) newChain(c *rules.Chain) *nftables.Chain {
	chain := k.chain(c)
	if c.Base != nil {
		policy := nftables.ChainPolicyAccept
		priority := nftables.ChainPriority(c.Base.Priority) //nolint:gosec // ours are between -150 and 300
		chain.Type = nftables.ChainType(c.Base.Type)
		chain.Hooknum = hookNumber(c.Base.Hook)
		chain.Priority = &priority
		chain.Policy = &policy
	}
	return chain
}

func hookNumber(h rules.Hook) *nftables.ChainHook {
	switch h {
	case rules.HookInput:
		return nftables.ChainHookInput
	case rules.HookForward:
		return nftables.ChainHookForward
	case rules.HookOutput:
		return nftables.ChainHookOutput
	case rules.HookPostrouting:
		return nftables.ChainHookPostrouting
	case rules.HookPrerouting:
	}
	return nftables.ChainHookPrerouting
}

// set is the handle of a set; its ID stays 0, so elements go by name.
func (k *Kernel) set(s *rules.Set) *nftables.Set {
	set := attributes(s)
	set.Table = k.table
	return set
}

// attributes says how the kernel is to make a set.
func attributes(s *rules.Set) *nftables.Set {
	set := &nftables.Set{Name: s.Name, IsMap: s.IsMap(), Interval: s.Interval, KeyType: datatype(s.Key)}
	if len(s.Key) > 1 && s.Interval {
		set.Concatenation = true // a range in a concatenation: the pipapo set
	}
	if len(s.Key) == 1 && s.Key[0] == rules.Slot {
		set.KeyByteOrder = binaryutil.NativeEndian
	}
	if s.IsMap() {
		set.DataType = datatype(s.Data)
	}
	return set
}

func datatype(types []rules.Type) nftables.SetDatatype {
	parts := make([]nftables.SetDatatype, len(types))
	for i, t := range types {
		switch t {
		case rules.Addr4:
			parts[i] = nftables.TypeIPAddr
		case rules.Addr6:
			parts[i] = nftables.TypeIP6Addr
		case rules.Service:
			parts[i] = nftables.TypeInetService
		case rules.Slot:
			parts[i] = nftables.TypeInteger
		case rules.Verdict:
			parts[i] = nftables.TypeVerdict
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return nftables.MustConcatSetType(parts...) // two parts at most: cannot overflow
}

func elements(s *rules.Set) []nftables.SetElement {
	list := make([]nftables.SetElement, len(s.Elements))
	for i, e := range s.Elements {
		list[i] = nftables.SetElement{Key: []byte(e.Key)}
		if e.End != "" {
			list[i].KeyEnd = []byte(e.End)
		}
		if e.Data != "" {
			list[i].Val = []byte(e.Data)
		}
		if e.Goto != "" {
			list[i].VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: e.Goto}
		}
	}
	return list
}

func probeExprs() []expr.Any { return []expr.Any{&expr.Queue{Num: 0, Total: 1}} }

// isMessage tells whether an error of a batch came from a message of that kind.
func isMessage(err error, kind string) bool {
	return errors.Is(err, unix.ENOENT) && strings.Contains(err.Error(), kind)
}
