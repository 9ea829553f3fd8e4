package rules

import "ftpvip/configs"

// Chain priorities, see DESIGN: the helper is assigned before dstnat, control packets are queued after NAT and
// after the host's own filter chains.
const (
	priorityAssign  = -150
	priorityDstNAT  = -100
	priorityFilter  = 0
	priorityLearn   = 90 // the client's address is its own until srcnat
	prioritySrcNAT  = 100
	priorityControl = 300
)

// hooked is a base chain and the rules that it has in each family, without the match of the family.
type hooked struct {
	name  string
	base  Base
	rules func(configs.Family) [][]Statement
	last  []Rule // for both families
}

// baseChains makes the chains that hang on hooks. Their number and their rules are always the same. Twins have the same
// rules at two hooks.
func baseChains() []*Chain {
	var chains []*Chain
	for _, h := range []hooked{
		{chainPrerouting, Base{Type: TypeNAT, Hook: HookPrerouting, Priority: priorityDstNAT}, toBackends, nil},
		{chainOutput, Base{Type: TypeNAT, Hook: HookOutput, Priority: priorityDstNAT}, fromHere, nil},
		{chainPostrouting, Base{Type: TypeNAT, Hook: HookPostrouting, Priority: prioritySrcNAT}, hideSources, nil},
		{chainAffinity, Base{Type: TypeNAT, Hook: HookPostrouting, Priority: priorityLearn}, learnClients, nil},
		{chainAffinityInput, Base{Type: TypeNAT, Hook: HookInput, Priority: priorityLearn}, learnClients, nil},
		{chainAssign, Base{Type: TypeFilter, Hook: HookPrerouting, Priority: priorityAssign}, assignHelper, nil},
		{chainAssignOutput, Base{Type: TypeFilter, Hook: HookOutput, Priority: priorityAssign}, assignHelper, resetEnded()},
		{chainControl, Base{Type: TypeFilter, Hook: HookPostrouting, Priority: priorityControl}, selectControl, nil},
		{chainControlInput, Base{Type: TypeFilter, Hook: HookInput, Priority: priorityControl}, selectControl, nil},
		{chainEmpty, Base{Type: TypeFilter, Hook: HookForward, Priority: priorityFilter}, resetUnserved, resetEnded()},
		{chainEmptyInput, Base{Type: TypeFilter, Hook: HookInput, Priority: priorityFilter}, resetUnserved, resetEnded()},
		{chainProvoke, Base{Type: TypeFilter, Hook: HookOutput, Priority: priorityRaw}, nil, hideProvoking()},
		{chainEmptyOutput, Base{Type: TypeFilter, Hook: HookOutput, Priority: priorityFilter}, resetUnserved, nil},
	} {
		c := &Chain{Name: h.name, Base: &h.base}
		for _, f := range configs.Families {
			if h.rules == nil {
				break
			}
			for _, statements := range h.rules(f) {
				c.Rules = append(c.Rules, rule(append([]Statement{MatchFamily{f}}, statements...)...))
			}
		}
		c.Rules = append(c.Rules, h.last...)
		chains = append(chains, c)
	}
	return chains
}

// fromHere is toBackends for connections of this host, among them those of health checks.
func fromHere(f configs.Family) [][]Statement {
	checks := []Statement{MatchTCP{}, DNATMap{Key{f, TaggedDestination}, setName(stemChecks, f), true}}
	return append([][]Statement{checks}, toBackends(f)...)
}

// The ports that servers open data connections from (RFC 959, section 3.2; RFC 4217, section 10.1.2 and IANA's ftps-data). Those in TLS sessions
// are not announced.
const (
	dataPort    = 20
	dataPortTLS = 989
)

// hideSources translates sources: of clients in one-arm mode and of backends.
func hideSources(f configs.Family) [][]Statement {
	original := Key{f, OriginalDestination}
	return [][]Statement{
		{MatchTCP{}, MatchDNATed{}, MatchInSet{original, setName(stemMasquerade, f)}, Masquerade{}},
		{MatchTCP{}, MatchDNATed{}, SNATMap{original, setName(stemSNAT, f)}},
		hairpinRule(f),
		{SNATMap{Key{f, Source}, setName(stemSource, f)}},
		{MatchTCP{}, MatchExpected{}, SNATMap{Key{f, Source}, setName(stemActive, f)}},
		// where conntrack has lost a control connection and the server speaks first
		{MatchTCP{}, MatchInSet{Key{f, OriginalSource}, setName(stemServers, f)}, SNATMap{Key{f, Source}, setName(stemActive, f)}},
		{MatchTCP{}, MatchSourcePort{dataPort}, SNATMap{Key{f, Source}, setName(stemActive, f)}},
		{MatchTCP{}, MatchSourcePort{dataPortTLS}, SNATMap{Key{f, Source}, setName(stemActive, f)}},
	}
}

// learnClients remembers where clients of pools with affinity are.
func learnClients(f configs.Family) [][]Statement {
	return [][]Statement{
		{MatchTCP{}, MatchDNATed{}, MatchUntagged{}, VerdictMap{Key{f, OriginalDestination}, setName(stemLearn, f)}},
	}
}

// assignHelper gives new control connections the carrier, and refuses clients.
func assignHelper(f configs.Family) [][]Statement {
	destination := Key{f, Destination}
	return [][]Statement{
		{MatchTCP{}, MatchNew{}, MatchInSet{destination, setName(stemControl, f)}, SetHelper{setName(stemHelper, f)}},
		carryReversed(f),
		{MatchTCP{}, MatchNew{}, MatchUntagged{}, VerdictMap{destination, setName(stemGuard, f)}},
	}
}

// selectControl finds the packets of control connections.
func selectControl(f configs.Family) [][]Statement {
	packets := Goto{setName(stemSelect, f)}
	return [][]Statement{
		{MatchTCP{}, MatchInSet{Key{f, OriginalDestination}, setName(stemControl, f)}, packets},
		{MatchTCP{}, MatchSNATed{}, MatchInSet{Key{f, OriginalSource}, setName(stemServers, f)}, packets},
	}
}

// resetUnserved answers connections that no slot caught, and those to backends that have enough.
func resetUnserved(f configs.Family) [][]Statement {
	return [][]Statement{
		{MatchTCP{}, MatchNew{}, MatchInSet{Key{f, Destination}, setName(stemReset, f)}, RejectReset{}},
		{MatchTCP{}, MatchNew{}, MatchDNATed{}, MatchUntagged{}, VerdictMap{Key{f, OriginalDestination}, setName(stemFull, f)}},
	}
}
