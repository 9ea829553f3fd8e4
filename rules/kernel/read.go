package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// Read returns our table as the kernel has it, or nil if there is none. Rules are recognised by comparing
// their expressions with those of want; what matches none of them is a foreign rule.
func (k *Kernel) Read(want *rules.Ruleset) (*rules.Ruleset, error) {
	t, err := k.begin()
	if err != nil || t == nil {
		return nil, err
	}
	r := &rules.Ruleset{}
	if t.Flags != 0 {
		r.Strange = append(r.Strange, fmt.Sprintf("table flags %#x, such as dormant", t.Flags))
	}
	if err := k.readObjects(r); err != nil {
		return nil, err
	}
	if err := k.readSets(r, want, true); err != nil {
		return nil, err
	}
	if err := k.readChains(r, want); err != nil {
		return nil, err
	}
	return r, nil
}

// begin notes the generation of the kernel's rules, which Commit compares, and returns our table, or nil.
func (k *Kernel) begin() (*nftables.Table, error) {
	gen, err := k.conn.GetGen()
	if err != nil {
		return nil, fmt.Errorf("reading the generation of the kernel's rules: %w", Explain(err))
	}
	k.generation = gen.ID
	return k.find()
}

// ReadSlots returns the slot tables of want and the maps of clients as the kernel has them, and nothing else; nil
// where our table is not.
func (k *Kernel) ReadSlots(want *rules.Ruleset) (*rules.Ruleset, error) {
	t, err := k.begin()
	if err != nil || t == nil {
		return nil, err
	}
	slots := &rules.Ruleset{}
	for _, s := range want.Sets {
		if s.Slots > 0 || s.Dynamic != nil && !isMeter(s) {
			slots.Sets = append(slots.Sets, s)
		}
	}
	r := &rules.Ruleset{}
	if len(slots.Sets) > fewSets {
		return r, k.readSets(r, slots, false)
	}
	for _, w := range slots.Sets {
		s, err := k.conn.GetSetByName(k.table, w.Name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading set %s: %w", w.Name, Explain(err))
		}
		set, err := k.readSet(s, w)
		if err != nil {
			return nil, err
		}
		r.Sets = append(r.Sets, set)
	}
	return r, nil
}

// fewSets is up to how many sets are asked for by name rather than by a list of all.
const fewSets = 64

func (k *Kernel) readObjects(r *rules.Ruleset) error {
	objects, err := k.conn.GetNamedObjects(k.table)
	if err != nil {
		return fmt.Errorf("reading the objects of table inet %s: %w", rules.TableName, Explain(err))
	}
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if ok && named.Type == nftables.ObjTypeCounter {
			r.Counters = append(r.Counters, rules.Counter{Name: named.Name})
			continue
		}
		if !ok || named.Type != nftables.ObjTypeCtHelper {
			r.Strange = append(r.Strange, fmt.Sprintf("an object that is neither ct helper nor counter (%T)", o))
			continue
		}
		h, ok := named.Obj.(*expr.CtHelper)
		if !ok {
			r.Strange = append(r.Strange, "ct helper "+named.Name+" in an unknown form")
			continue
		}
		f := configs.IPv4
		if h.L3Proto == unix.NFPROTO_IPV6 {
			f = configs.IPv6
		}
		r.Helpers = append(r.Helpers, rules.CTHelper{Name: named.Name, Family: f, Type: strings.TrimRight(h.Name, "\x00")})
	}
	return k.readFlowtables(r)
}

// readSets reads the sets that are wanted, and names the others if asked.
func (k *Kernel) readSets(r *rules.Ruleset, want *rules.Ruleset, others bool) error {
	wanted := make(map[string]*rules.Set, len(want.Sets))
	for _, s := range want.Sets {
		wanted[s.Name] = s
	}
	sets, err := k.conn.GetSets(k.table)
	if err != nil {
		return fmt.Errorf("reading the sets of table inet %s: %w", rules.TableName, Explain(err))
	}
	for _, s := range sets {
		if s.Anonymous { // belongs to a foreign rule, and goes with it
			continue
		}
		if wanted[s.Name] == nil && !others {
			continue
		}
		set, err := k.readSet(s, wanted[s.Name])
		if err != nil {
			return err
		}
		r.Sets = append(r.Sets, set)
	}
	return nil
}

// readSet reads one set. Its types count as those of the wanted one where sizes and flags agree with it.
func (k *Kernel) readSet(s *nftables.Set, want *rules.Set) (*rules.Set, error) {
	set := &rules.Set{Name: s.Name}
	if want == nil || !sameAttributes(s, want) {
		return set, nil // a shape of no types: it is deleted, whatever it holds
	}
	set.Key, set.Data, set.Interval, set.Slots, set.Dynamic = want.Key, want.Data, want.Interval, want.Slots, want.Dynamic
	switch {
	case isMeter(want):
		return set, nil
	case isList(want):
		ends, err := dumpList(s.Name)
		if err != nil {
			return nil, fmt.Errorf("reading the elements of %s: %w", s.Name, Explain(err))
		}
		set.Elements = readRanges(ends)
		return set, nil
	}
	for try := 0; ; try++ {
		elements, err := k.conn.GetSetElements(s)
		if err != nil {
			return nil, fmt.Errorf("reading the elements of %s: %w", s.Name, Explain(err))
		}
		if want.Dynamic != nil {
			set.Elements = readLearnt(elements, want)
			return set, nil
		}
		set.Elements = make([]rules.Element, 0, len(elements))
		for i := range elements {
			set.Elements = append(set.Elements, readElement(&elements[i], want))
		}
		if consistent(set.Elements) {
			return set, nil
		}
		if try == readTries {
			return nil, fmt.Errorf("reading the elements of %s: the kernel lists some of them twice, and so maybe others "+
				"not at all, %d times in a row; try again", s.Name, try)
		}
		time.Sleep(readPause)
	}
}

// A hash table without a fixed size grows in the background after it was filled. A list that is read meanwhile
// leaves elements out, and has others twice in their place (net/netfilter/nft_set_hash.c, nft_rhash_walk). It
// grows within milliseconds.
const (
	readTries = 200
	readPause = 5 * time.Millisecond
)

// consistent reports whether no key stands there twice.
func consistent(elements []rules.Element) bool {
	seen := make(map[string]struct{}, len(elements))
	for i := range elements {
		seen[elements[i].Key+elements[i].End] = struct{}{}
	}
	return len(seen) == len(elements)
}

// dying is how long an element that the kernel forgets by itself has to live for us to see it: what is gone when we
// want to delete it fails the whole transaction.
const dying = 2 * time.Second

// readLearnt reads what the kernel learnt. Such a list is never complete, as packets add to it meanwhile.
func readLearnt(list []nftables.SetElement, want *rules.Set) []rules.Element {
	elements := make([]rules.Element, 0, len(list))
	seen := make(map[string]bool, len(list))
	for i := range list {
		if e := readElement(&list[i], want); list[i].Expires > dying && !seen[e.Key] {
			seen[e.Key] = true
			elements = append(elements, e)
		}
	}
	return elements
}

func readElement(e *nftables.SetElement, want *rules.Set) rules.Element {
	element := rules.Element{Key: string(e.Key), Data: string(e.Val)}
	if want.Interval {
		element.End = string(e.KeyEnd)
		if element.End == "" {
			element.End = element.Key
		}
	}
	for len(element.Data)%4 != 0 { // a register's bytes
		element.Data += "\x00"
	}
	if isVerdict(want) {
		element.Data, element.Goto = "", verdictChain(e.Val)
	}
	return element
}

// verdictChain reads the chain out of a verdict map's data: the library leaves NFTA_VERDICT_CODE and
// NFTA_VERDICT_CHAIN undecoded. Another verdict than goto gives a name that no chain of ours has.
func verdictChain(data []byte) string {
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return "unreadable verdict"
	}
	ad.ByteOrder = binary.BigEndian
	var code int32
	chain := ""
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			code = int32(ad.Uint32())
		case unix.NFTA_VERDICT_CHAIN:
			chain = ad.String()
		}
	}
	if ad.Err() != nil || code != int32(expr.VerdictGoto) {
		return fmt.Sprintf("%s (verdict %d)", chain, code)
	}
	return chain
}

// sameAttributes compares what the kernel says of a set with what we would ask for.
func sameAttributes(s *nftables.Set, want *rules.Set) bool {
	w := attributesOf(want)
	return s.KeyType.GetNFTMagic() == w.keyType && s.KeyType.Bytes == w.keyLen && s.IsMap == want.IsMap() &&
		(!s.IsMap || isVerdict(want) == (s.DataType.GetNFTMagic() == nftables.TypeVerdict.GetNFTMagic())) &&
		(!s.IsMap || isVerdict(want) || s.DataType.GetNFTMagic() == w.dataType) &&
		s.Interval == want.Interval && s.Size == w.size && s.Concatenation == (w.flags&nftables.NFT_SET_CONCAT != 0) &&
		s.HasTimeout == (w.flags&unix.NFT_SET_TIMEOUT != 0) && s.Timeout == w.timeout &&
		s.Dynamic == (w.flags&unix.NFT_SET_EVAL != 0) && !s.Constant
}

func (k *Kernel) readChains(r *rules.Ruleset, want *rules.Ruleset) error {
	chains, err := k.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("listing chains: %w", Explain(err))
	}
	wanted := make(map[string]*rules.Chain, len(want.Chains))
	for _, c := range want.Chains {
		wanted[c.Name] = c
	}
	for _, c := range chains {
		if c.Table.Name != rules.TableName {
			continue
		}
		chain := &rules.Chain{Name: c.Name, Base: ReadBase(c)}
		if chain.Rules, err = k.readRules(c, wanted[c.Name]); err != nil {
			return err
		}
		r.Chains = append(r.Chains, chain)
	}
	return nil
}

// ReadBase is what makes a chain a base chain; nil for a regular one.
func ReadBase(c *nftables.Chain) *rules.Base {
	if c.Hooknum == nil {
		return nil
	}
	b := &rules.Base{Type: rules.ChainType(c.Type)}
	for hook, number := range hookNumbers {
		if number == uint32(*c.Hooknum) {
			b.Hook = hook
		}
	}
	if c.Priority != nil {
		b.Priority = int(*c.Priority)
	}
	b.Drop = c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
	return b
}

// readRules reads the rules of a chain and recognises those of want.
func (k *Kernel) readRules(c *nftables.Chain, want *rules.Chain) ([]rules.Rule, error) {
	known := map[string]rules.Rule{}
	if want != nil {
		for _, r := range want.Rules {
			exprs, err := compile(r, k.nativeQueue)
			if err != nil {
				return nil, err
			}
			key, err := canonical(exprs)
			if err != nil {
				return nil, fmt.Errorf("encoding a rule of chain %s: %w", c.Name, err)
			}
			known[key] = r
		}
	}
	list, err := k.conn.GetRules(k.table, c)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of chain %s: %w", c.Name, Explain(err))
	}
	read := make([]rules.Rule, 0, len(list))
	for _, r := range list {
		key, err := canonical(r.Exprs)
		ours, ok := known[key]
		if err != nil || !ok {
			ours = rules.Rule{Foreign: describe(r)}
		}
		read = append(read, ours)
	}
	return read, nil
}

// describe says what little can be said of a rule that is not ours.
func describe(r *nftables.Rule) string {
	names := make([]string, len(r.Exprs))
	for i, e := range r.Exprs {
		names[i] = strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "*expr."))
	}
	return fmt.Sprintf("handle %d, not ours (%s)", r.Handle, strings.Join(slices.Compact(names), ", "))
}
