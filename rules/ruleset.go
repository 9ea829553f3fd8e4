package rules

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ftpvip/configs"
)

// Ruleset is the whole content of a table, in the order in which it is written.
type Ruleset struct {
	Helpers    []CTHelper
	Counters   []Counter
	Flowtables []Flowtable
	Sets       []*Set
	Chains     []*Chain
	// Affinity lists the maps of clients. It is empty in a ruleset that was read from the kernel.
	Affinity []Affinity
	// Strange lists what a table read from the kernel holds that none of ours ever does: other
	// objects, table flags. It is empty in a ruleset that Build made.
	Strange []string
}

// Set returns the set or map of that name, or nil.
func (r *Ruleset) Set(name string) *Set {
	i := slices.IndexFunc(r.Sets, func(s *Set) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return r.Sets[i]
}

// Chain returns the chain of that name, or nil.
func (r *Ruleset) Chain(name string) *Chain {
	i := slices.IndexFunc(r.Chains, func(c *Chain) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return r.Chains[i]
}

// CTHelper is a `ct helper` object: what `ct helper set` attaches to a connection.
type CTHelper struct {
	Name   string
	Family configs.Family
	Type   string // name of the conntrack helper in the kernel: the carrier
}

// Counter is a named counter. Its values are not part of the ruleset: they survive every change of rules.
type Counter struct{ Name string }

// Type is the type of one component of a set's key or data.
type Type uint8

// The types, named as nft names them. Slot is an nft integer that a hash or a number generator yields.
const (
	Addr4 Type = iota + 1
	Addr6
	Service
	Slot
	Verdict
	Tag // a socket's priority, which nft takes for a handle of tc
)

// addrType is the address type of a family.
func addrType(f configs.Family) Type {
	if f == configs.IPv4 {
		return Addr4
	}
	return Addr6
}

// size is the number of bytes of a value of type t in a register, padded to 4.
func (t Type) size() int {
	if t == Addr6 {
		return 16
	}
	return 4
}

// Set is a named set, or a map where Data is not empty.
type Set struct {
	Name     string
	Key      []Type
	Data     []Type
	Interval bool // keys may be ranges in their last component
	Slots    int  // for a slot table: its size, which nft prints in the map's type
	Dynamic  *Dynamic
	Elements []Element
}

// Dynamic is what a set has whose elements rules add: apply does not write them, and diff does not compare them. Nil
// for others.
type Dynamic struct {
	Size    int           // most elements; where a set is full, the rule that would add one does not match
	Timeout time.Duration // how long an element stays after its last update, whole seconds; 0: as long as the kernel likes
}

func sameDynamic(a, b *Dynamic) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// IsMap reports whether the set maps its keys to data.
func (s *Set) IsMap() bool { return len(s.Data) > 0 }

// sameShape reports whether two sets differ in nothing but their elements.
func (s *Set) sameShape(o *Set) bool {
	return s.Name == o.Name && slices.Equal(s.Key, o.Key) && slices.Equal(s.Data, o.Data) && s.Interval == o.Interval &&
		s.Slots == o.Slots && sameDynamic(s.Dynamic, o.Dynamic)
}

// Element is one element of a set. The strings hold the very bytes of the kernel's registers, each component
// padded to 4 bytes: so elements can be compared with ==, sorted, and sent to the kernel as they are.
type Element struct {
	Key  string
	End  string // last key of a range; equal to Key for one key of an interval set, "" in other sets
	Data string // of a map
	Goto string // of a verdict map: the chain
}

// sortElements gives a set's elements their one order.
func sortElements(elements []Element) {
	slices.SortFunc(elements, func(a, b Element) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(a.End, b.End), strings.Compare(a.Data, b.Data))
	})
}

// addrBytes and the functions below make register contents.
func addrBytes(a netip.Addr) string { return string(a.AsSlice()) }

func portBytes(p uint16) string { return string([]byte{byte(p >> 8), byte(p), 0, 0}) }

func addrPortBytes(a netip.Addr, p uint16) string { return addrBytes(a) + portBytes(p) }

// hostBytes is a number in the host's byte order, as a packet's priority is in a register.
func hostBytes(n uint32) string {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], n)
	return string(b[:])
}

// slotBytes is a slot number, as jhash and numgen leave it in a register.
func slotBytes(n int) string { return hostBytes(uint32(n)) }

// SlotTarget reads the backend out of the data of a slot table's element.
func SlotTarget(e Element) netip.AddrPort {
	n := len(e.Data) - 4
	if n < 4 {
		return netip.AddrPort{}
	}
	addr, ok := netip.AddrFromSlice([]byte(e.Data[:n]))
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16([]byte(e.Data[n:])))
}

type (
	// ChainType is nft's word for what a base chain may do.
	ChainType string
	// Hook is nft's word for the place where a base chain hangs.
	Hook string
)

// The chain types and hooks that we use.
const (
	TypeNAT    ChainType = "nat"
	TypeFilter ChainType = "filter"

	HookPrerouting  Hook = "prerouting"
	HookInput       Hook = "input"
	HookForward     Hook = "forward"
	HookOutput      Hook = "output"
	HookPostrouting Hook = "postrouting"
)

// Base is what makes a chain a base chain. Its policy is always accept.
type Base struct {
	Type     ChainType
	Hook     Hook
	Priority int
	// Drop is set where the kernel's chain has policy drop, which ours never have.
	Drop bool
}

// Chain is a chain with its rules; Base is nil for a regular one.
type Chain struct {
	Name  string
	Base  *Base
	Rules []Rule
}

// sameHook reports whether two chains have the same hook and priority.
func (c *Chain) sameHook(o *Chain) bool {
	if c.Base == nil || o.Base == nil {
		return c.Base == o.Base
	}
	return *c.Base == *o.Base
}

// Rule is a list of statements, or a rule in the kernel that we did not write.
type Rule struct {
	Statements []Statement
	Foreign    string // a description; "" for our own
}

// String is the rule as nft text.
func (r Rule) String() string {
	if r.Foreign != "" {
		return r.Foreign
	}
	words := make([]string, len(r.Statements))
	for i, s := range r.Statements {
		words[i] = s.Text()
	}
	return strings.Join(words, " ")
}

// Equal reports whether two rules are the same. What another program wrote is equal if its description is.
func (r Rule) Equal(o Rule) bool {
	return r.Foreign == o.Foreign && slices.Equal(r.Statements, o.Statements)
}

// references lists the objects that the rule names.
func (r Rule) references() []Reference {
	var list []Reference
	for _, s := range r.Statements {
		list = append(list, s.Needs().Objects...)
	}
	return list
}

// text renders one component of a key or of data.
func (t Type) text(b string) string {
	switch t {
	case Addr4, Addr6:
		a, ok := netip.AddrFromSlice([]byte(b))
		if !ok {
			return fmt.Sprintf("%#x", b)
		}
		return a.String()
	case Service:
		return fmt.Sprint(binary.BigEndian.Uint16([]byte(b)))
	case Slot:
		return fmt.Sprint(binary.NativeEndian.Uint32([]byte(b)))
	case Verdict:
		return "verdict"
	case Tag:
		n := binary.NativeEndian.Uint32([]byte(b))
		return fmt.Sprintf("%04x:%04x", n>>16, n&0xffff)
	}
	return fmt.Sprintf("%#x", b)
}
