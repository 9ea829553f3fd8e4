package walk

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// control is a packet that opens a control connection, as a forward chain sees it.
func control() *Packet {
	return &Packet{
		Family: configs.IPv4, Proto: unix.IPPROTO_TCP, SYN: true, State: StateNew,
		In: &Link{"wan0", 2}, Out: &Link{"lan0", 3}, DstNotLocal: true,
		Src: netip.MustParseAddrPort("198.51.100.11:40011"), Dst: netip.MustParseAddrPort("10.2.0.11:21"),
		Status: StatusDNAT, StatusKnown: StatusDNAT | StatusExpected,
		OriginalDst: netip.MustParseAddrPort("192.0.2.10:21"),
	}
}

// The beginnings of rules, as nft writes them.
func state(bits uint32, more ...Expr) []Expr {
	return append([]Expr{
		Load{0, Field{Kind: CT, Key: unix.NFT_CT_STATE}},
		Bitwise{Src: 0, Dst: 0, Mask: native(bits), Xor: native(0)}, Cmp{0, NotEqual, native(0)},
	}, more...)
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func dport(p uint16, more ...Expr) []Expr {
	return append([]Expr{
		Load{0, Field{Kind: Meta, Key: unix.NFT_META_L4PROTO}}, Cmp{0, Equal, []byte{unix.IPPROTO_TCP}},
		Load{0, Field{Kind: Transport, Key: 2, Len: 2, Name: "the destination port"}}, Cmp{0, Equal, binary.BigEndian.AppendUint16(nil, p)},
	}, more...)
}

func name(key uint32, link string, more ...Expr) []Expr {
	return append([]Expr{Load{0, Field{Kind: Meta, Key: key}}, Cmp{0, Equal, append([]byte(link), make([]byte, 16-len(link))...)}}, more...)
}

func mark(more ...Expr) []Expr {
	return append([]Expr{Load{0, Field{Kind: Meta, Key: unix.NFT_META_MARK, Name: "the packet's mark"}}, Cmp{0, Equal, native(7)}}, more...)
}

var (
	accept = Verdict{Kind: Accept}
	drop   = Verdict{Kind: Drop}
	back   = Verdict{Kind: Return}
)

func to(kind VerdictKind, chain string) Verdict { return Verdict{kind, chain} }

// build makes a table out of a base chain and regular ones.
func build(policyDrop bool, chains map[string][][]Expr, sets map[string]*Set) *Chain {
	t := &Table{Family: INet, Name: "t", Sets: sets, Helpers: map[string]string{"h": "ftp"}}
	for n, list := range chains {
		c := &Chain{Table: t, Name: n}
		for i, e := range list {
			c.Rules = append(c.Rules, Rule{Handle: uint64(i + 1), Exprs: e})
		}
		t.Chains = append(t.Chains, c)
	}
	base := t.Chain("base")
	base.Base = &rules.Base{Type: rules.TypeFilter, Hook: rules.HookForward, Drop: policyDrop}
	return base
}

func TestThrough(t *testing.T) {
	ports := map[string]*Set{
		"ports": {Fields: []int{4}, Elements: []Element{{Key: []byte{0, 20}, End: []byte{0, 22}}, {Key: []byte{1, 187}, End: []byte{1, 187}}}},
		"states": {Fields: []int{4}, Elements: []Element{
			{Key: native(StateEstablished), Verdict: accept}, {Key: native(StateNew), Verdict: to(Jump, "sub")},
		}},
		"odd": {Opaque: "whose elements cannot be read"},
		"dst": {Fields: []int{4, 4}, Elements: []Element{{Key: []byte{10, 2, 0, 0, 0, 21, 0, 0}, End: []byte{10, 2, 0, 255, 0, 21, 0, 0}}}},
	}
	load := func(key uint32, n int, kind FieldKind, reg int) Load {
		return Load{reg, Field{Kind: kind, Key: key, Len: n, Name: "x"}}
	}
	for _, tc := range []struct {
		name   string
		drop   bool // policy
		chains map[string][][]Expr
		packet func(*Packet)
		want   Answer
	}{
		{name: "empty", chains: map[string][][]Expr{"base": nil}, want: Passed},
		{name: "policy", drop: true, chains: map[string][][]Expr{"base": nil}, want: Dropped},
		{name: "port", drop: true, chains: map[string][][]Expr{"base": {dport(22, accept), dport(21, accept)}}, want: Passed},
		{name: "another port", drop: true, chains: map[string][][]Expr{"base": {dport(22, accept)}}, want: Dropped},
		{name: "state", drop: true, chains: map[string][][]Expr{"base": {state(StateNew|StateRelated, accept)}}, want: Passed},
		{name: "another state", drop: true, chains: map[string][][]Expr{"base": {state(StateEstablished|StateRelated, accept)}}, want: Dropped},
		{name: "link", chains: map[string][][]Expr{"base": {name(unix.NFT_META_IIFNAME, "wan0", drop)}}, want: Dropped},
		{name: "no such link", chains: map[string][][]Expr{"base": {name(unix.NFT_META_OIFNAME, "wan0", drop)}}, want: Passed},
		{
			name: "absent link", chains: map[string][][]Expr{"base": {name(unix.NFT_META_OIFNAME, "", drop)}},
			packet: func(p *Packet) { p.Out = nil }, want: Passed,
		},
		{name: "jump and return", drop: true, chains: map[string][][]Expr{
			"base": {{to(Jump, "sub")}, dport(21, accept)}, "sub": {dport(21, back), {drop}},
		}, want: Passed},
		{name: "jump to the end", chains: map[string][][]Expr{"base": {{to(Jump, "sub")}, {drop}}, "sub": {dport(80, accept)}}, want: Dropped},
		{name: "goto does not come back", drop: true, chains: map[string][][]Expr{"base": {{to(Goto, "sub")}, {accept}}, "sub": nil}, want: Dropped},
		{name: "goto in a regular chain", drop: true, chains: map[string][][]Expr{
			"base": {{to(Jump, "a")}, {accept}}, "a": {{to(Goto, "b")}, {drop}}, "b": nil,
		}, want: Passed},
		{name: "a loop of jumps", chains: map[string][][]Expr{"base": {{to(Jump, "a")}}, "a": {{to(Jump, "a")}}}, want: CannotTell},
		{name: "mark", chains: map[string][][]Expr{"base": {mark(drop)}}, want: CannotTell},
		{name: "mark that makes no difference", chains: map[string][][]Expr{"base": {mark(accept)}}, want: Passed},
		{name: "mark, dropped in any case", drop: true, chains: map[string][][]Expr{"base": {mark(drop)}}, want: Dropped},
		{name: "mark and a jump that only drops", drop: true, chains: map[string][][]Expr{"base": {mark(to(Jump, "sub"))}, "sub": {dport(80, accept)}}, want: Dropped},
		{name: "unknown expression", drop: true, chains: map[string][][]Expr{"base": {{Unknown{"limit", -1}, accept}}}, want: CannotTell},
		{name: "unknown expression after one that does not match", chains: map[string][][]Expr{"base": {dport(80, Unknown{"limit", -1}, drop)}}, want: Passed},
		{name: "unknown value", chains: map[string][][]Expr{"base": {{Unknown{"numgen", 0}, Cmp{0, Equal, []byte{1}}, drop}}}, want: CannotTell},
		{name: "queue of another program", chains: map[string][][]Expr{"base": {{Verdict{Kind: Queue}}}}, want: CannotTell},
		{name: "range of ports", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Range{Reg: 0, From: []byte{0, 20}, To: []byte{0, 21}}, drop}}}, want: Dropped},
		{name: "beyond the range", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Range{Reg: 0, From: []byte{0, 22}, To: []byte{0, 29}}, drop}}}, want: Passed},
		{name: "out of the range", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Range{Reg: 0, From: []byte{0, 22}, To: []byte{0, 29}, Not: true}, drop}}}, want: Dropped},
		{name: "greater than", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Cmp{0, GreaterOrEqual, []byte{4, 0}}, drop}}}, want: Passed},
		{name: "less than", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Cmp{0, Less, []byte{4, 0}}, drop}}}, want: Dropped},
		{
			name: "unknown port, bounded", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Cmp{0, GreaterOrEqual, []byte{0, 0}}, drop}}},
			packet: func(p *Packet) { p.Dst = netip.AddrPortFrom(p.Dst.Addr(), 0) }, want: Dropped,
		},
		{name: "set", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Lookup{Reg: 0, Set: "ports"}, drop}}}, want: Dropped},
		{name: "not in a set", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Lookup{Reg: 0, Set: "ports", Not: true}, drop}}}, want: Passed},
		{name: "set that is not known", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Lookup{Reg: 0, Set: "odd"}, drop}}}, want: CannotTell},
		{name: "set that is not there", chains: map[string][][]Expr{"base": {{load(2, 2, Transport, 0), Lookup{Reg: 0, Set: "none"}, drop}}}, want: CannotTell},
		{name: "concatenation", chains: map[string][][]Expr{"base": {{load(16, 4, Network, 0), load(2, 2, Transport, 4), Lookup{Reg: 0, Set: "dst"}, drop}}}, want: Dropped},
		{
			name: "unknown client in a concatenation", chains: map[string][][]Expr{"base": {{load(12, 4, Network, 0), load(2, 2, Transport, 4), Lookup{Reg: 0, Set: "dst"}, drop}}},
			packet: func(p *Packet) { p.Src = netip.AddrPort{} }, want: CannotTell,
		},
		{name: "verdict map", drop: true, chains: map[string][][]Expr{
			"base": {{Load{0, Field{Kind: CT, Key: unix.NFT_CT_STATE}}, Lookup{Reg: 0, Set: "states", HasDst: true, Verdict: true}}}, "sub": {dport(21, accept)},
		}, want: Passed},
		{name: "DNAT", drop: true, chains: map[string][][]Expr{"base": {{
			Load{0, Field{Kind: CT, Key: unix.NFT_CT_STATUS}}, Bitwise{Mask: native(StatusDNAT), Xor: native(0)}, Cmp{0, NotEqual, native(0)}, accept,
		}}}, want: Passed},
		{name: "status that is open", drop: true, chains: map[string][][]Expr{"base": {{
			Load{0, Field{Kind: CT, Key: unix.NFT_CT_STATUS}}, Bitwise{Mask: native(StatusSNAT), Xor: native(0)}, Cmp{0, NotEqual, native(0)}, accept,
		}}}, want: CannotTell},
		{name: "original destination", drop: true, chains: map[string][][]Expr{"base": {{
			load(unix.NFT_CT_DST, 0, CT, 0), Cmp{0, Equal, []byte{192, 0, 2, 10}}, accept,
		}}}, want: Passed},
		{name: "local destination", chains: map[string][][]Expr{"base": {{
			Load{0, Field{Kind: FIB, Key: fibDst, Result: fibAddrType}}, Cmp{0, Equal, native(routeLocal)}, drop,
		}}}, want: Passed},
		{name: "reverse path", chains: map[string][][]Expr{"base": {{
			Load{0, Field{Kind: FIB, Key: fibSrc | 8, Result: fibOIF}}, Cmp{0, Equal, native(0)}, drop,
		}}}, want: Passed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := control()
			if tc.packet != nil {
				tc.packet(p)
			}
			o := Through(build(tc.drop, tc.chains, ports), p)
			if o.Answer != tc.want {
				t.Errorf("answer %d, want %d (at %v, unsure %v: %s)", o.Answer, tc.want, o.At.Chain, o.Unsure.Chain, o.Why)
			}
			if o.Answer == CannotTell && (o.Why == "" || o.Unsure.Chain == nil) {
				t.Error("it does not say what it cannot tell")
			}
			if o.Answer == Dropped && o.At.Chain == nil {
				t.Error("it does not say where")
			}
		})
	}
}

// Where a packet is dropped in any case, the place that is named is one that drops it for sure.
func TestPlace(t *testing.T) {
	o := Through(build(true, map[string][][]Expr{"base": {mark(drop), dport(80, drop), mark(to(Jump, "sub"))}, "sub": {{drop}}}, nil), control())
	if o.Answer != Dropped || o.At.Rule != nil {
		t.Errorf("answer %d at %s", o.Answer, o.At)
	}
}

func TestMarks(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule []Expr
		kind MarkKind
		sure bool
	}{
		{"helper", dport(21, SetHelper{"h"}), Helper, true},
		{"helper, maybe", mark(SetHelper{"h"}), Helper, false},
		{"helper of iptables", dport(21, XTTarget{Name: "CT", Rev: 2, Info: append(append(make([]byte, 12), "ftp"...), make([]byte, 60)...)}), Helper, true},
		{"notrack", dport(21, NoTrack{}), Untracked, true},
		{"notrack of iptables", dport(21, XTTarget{Name: "CT", Rev: 2, Info: append([]byte{1, 0}, make([]byte, 80)...)}), Untracked, true},
		{"redirect", dport(21, NAT{}), Translated, true},
		{"DNAT of iptables", dport(21, XTTarget{Name: "DNAT", Rev: 2}), Translated, true},
		{"for another port", dport(2121, NAT{}), 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := Through(build(false, map[string][][]Expr{"base": {tc.rule}}, nil), control())
			if tc.kind == 0 {
				if len(o.Marks) > 0 {
					t.Errorf("marks %+v", o.Marks)
				}
				return
			}
			if len(o.Marks) != 1 || o.Marks[0].What != tc.kind || o.Marks[0].Sure != tc.sure {
				t.Fatalf("marks %+v", o.Marks)
			}
			if tc.kind == Helper && o.Marks[0].Name != "ftp" {
				t.Errorf("helper %q", o.Marks[0].Name)
			}
		})
	}
}

// A rule after one that may have ended the walk is not sure to be reached.
func TestMarkAfterDoubt(t *testing.T) {
	o := Through(build(false, map[string][][]Expr{"base": {mark(accept), dport(21, NAT{})}}, nil), control())
	if len(o.Marks) != 1 || o.Marks[0].Sure {
		t.Errorf("marks %+v", o.Marks)
	}
}

func TestChains(t *testing.T) {
	base := func(priority int, hook rules.Hook) *rules.Base {
		return &rules.Base{Type: rules.TypeFilter, Hook: hook, Priority: priority}
	}
	r := &Ruleset{Tables: []*Table{
		{Family: INet, Name: "a", Chains: []*Chain{{Name: "late", Base: base(10, rules.HookForward)}, {Name: "in", Base: base(0, rules.HookInput)}}},
		{Family: IP, Name: "b", Chains: []*Chain{{Name: "early", Base: base(-10, rules.HookForward)}, {Name: "regular"}}},
		{Family: IP6, Name: "c", Chains: []*Chain{{Name: "six", Base: base(0, rules.HookForward)}}},
	}}
	for family, want := range map[configs.Family]string{configs.IPv4: "early late ", configs.IPv6: "six late "} {
		got := ""
		for _, c := range r.Chains(rules.TypeFilter, rules.HookForward, family) {
			got += c.Name + " "
		}
		if got != want {
			t.Errorf("IPv%d: %s, want %s", family, got, want)
		}
	}
}
