package rules

import (
	"slices"
	"testing"

	"ftpvip/configs"
)

// TestPlanOrder: everything is deleted before anything is added, rules first and last, sets before the chains that their
// elements name.
func TestPlanOrder(t *testing.T) {
	p := Diff(built(limited(5)), built(func(c *configs.Config) {
		c.Pools[0].Name = "other"
		c.VIPs[0].Limits.PerBackend = 7
	}))
	var kinds [Add + 1][]Kind
	for i, o := range p.Operations {
		if o.Verb == Delete && i > 0 && p.Operations[i-1].Verb == Add {
			t.Errorf("%s is deleted after something was added", o.Object.declaration())
		}
		kinds[o.Verb] = append(kinds[o.Verb], o.Object.Reference().Kind)
	}
	slices.Reverse(kinds[Delete])
	for verb, list := range kinds {
		if !slices.IsSorted(list) {
			t.Errorf("verb %d: kinds %v", verb, list)
		}
		if compact := slices.Compact(list); verb > 0 && len(compact) != 5 { // counters, chains, sets, elements, rules
			t.Errorf("verb %d: the example has the kinds %v only", verb, compact)
		}
	}
}

// TestReferences: each object that a rule names is in the ruleset.
func TestReferences(t *testing.T) {
	r := built(func(c *configs.Config) {
		c.VIPs[0].Limits = configs.Limits{PerClient: 1, NewPerSecond: 1, Burst: 1, PerBackend: 1}
		c.VIPs[0].Offload, c.OffloadDevices = true, []string{"eth0"}
		c.Pools[0].Affinity = 1e9
	})
	have, named := map[Reference]bool{}, map[Kind]int{}
	for _, o := range Diff(nil, r).Operations {
		have[o.Object.Reference()] = true
	}
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			for _, to := range rule.references() {
				if named[to.Kind]++; !have[to] {
					t.Errorf("chain %s names %v, which is not there", c.Name, to)
				}
			}
		}
	}
	if len(named) != 5 { // ct helpers, counters, flowtables, chains, sets
		t.Errorf("only some kinds are named: %v", named)
	}
}
