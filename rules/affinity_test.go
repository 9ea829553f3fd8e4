package rules

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
)

// learnt is what the kernel makes of a ruleset when clients come: pairs of client and backend.
func learnt(r *Ruleset, pairs map[string]string) *Ruleset {
	have := &Ruleset{Helpers: r.Helpers, Chains: r.Chains}
	for _, s := range r.Sets {
		have.Sets = append(have.Sets, &Set{
			Name: s.Name, Key: s.Key, Data: s.Data, Interval: s.Interval, Slots: s.Slots, Dynamic: s.Dynamic, Elements: s.Elements,
		})
	}
	for client, backend := range pairs {
		c, b := netip.MustParseAddr(client), netip.MustParseAddrPort(backend)
		a, _, _ := affinity(&configs.Pool{Name: "farm"}, configs.FamilyOf(c))
		have.Set(a.Clients).add(Element{Key: addrBytes(c), Data: addrBytes(b.Addr())})
		have.Set(a.Ports).add(Element{Key: addrBytes(c), Data: portBytes(b.Port())})
	}
	return have
}

// affine is a configuration with affinity and two backends.
func affine(t *testing.T) *configs.Config {
	cfg := tiered(t, "farm 1 - d1:1 d2:1")
	cfg.Pools[0].Scheduler, cfg.Pools[0].Affinity = configs.RoundRobin, time.Hour
	return cfg
}

// What the kernel learnt is no configuration: a plan leaves it alone, but for clients of backends without slots.
func TestForget(t *testing.T) {
	cfg := affine(t)
	all := map[string]string{
		"198.51.100.1": "10.0.0.1:21", "198.51.100.2": "10.0.0.2:21", "2001:db8:1::1": "[fd00::1]:21", "2001:db8:1::2": "[fd00::2]:21",
	}
	want := Build(cfg, State{}, SaneHelperName)
	if p := Diff(learnt(want, all), want); !p.Empty() {
		t.Errorf("nothing changed, the plan is\n%s", p.Text())
	}
	before := learnt(want, all)
	down := Build(cfg, State{Down: map[configs.Ref]bool{{Pool: "farm", Backend: "d1"}: true}}, SaneHelperName)
	for name, p := range map[string]*Plan{"Diff": Diff(before, down), "SlotDiff": SlotDiff(before, down)} {
		gone := map[string]int{}
		for _, s := range deleted(p) {
			if s.Dynamic != nil {
				gone[s.Name] += len(s.Elements)
				if client := s.keyText(s.Elements[0]); client != "198.51.100.1" && client != "2001:db8:1::1" {
					t.Errorf("%s forgets %s", name, client)
				}
			}
		}
		if len(gone) != 4 || gone["affinity4-farm"] != 1 || gone["affport4-farm"] != 1 || gone["affinity6-farm"] != 1 {
			t.Errorf("%s forgets %v, want one in each map", name, gone)
		}
		if !p.Forgets() || !p.ElementsOnly() {
			t.Errorf("%s: forgets %v, elements only %v", name, p.Forgets(), p.ElementsOnly())
		}
		if line := "- 1 elements of affinity4-farm: clients of backends that hold no slots\n"; !strings.Contains(p.Text(), line) {
			t.Errorf("%s says\n%s", name, p.Text())
		}
	}
}

// deleted lists the sets that a plan deletes elements of, with these.
func deleted(p *Plan) []*Set {
	var sets []*Set
	for _, o := range p.Operations {
		if e, ok := o.Object.(Elements); ok && o.Verb == Delete {
			sets = append(sets, e.Set)
		}
	}
	return sets
}

// A backend is an address and a port.
func TestForgetByPort(t *testing.T) {
	want := Build(affine(t), State{}, SaneHelperName)
	p := SlotDiff(learnt(want, map[string]string{"198.51.100.1": "10.0.0.1:21", "198.51.100.2": "10.0.0.1:2121"}), want)
	if gone := deleted(p); len(gone) != 2 || len(gone[0].Elements) != 1 || gone[0].Elements[0].Key != addrBytes(netip.MustParseAddr("198.51.100.2")) {
		t.Errorf("the plan is\n%s", p.Text())
	}
}

// A client of which one map knows is learnt or forgotten by the kernel at this moment.
func TestForgetLeavesHalves(t *testing.T) {
	want := Build(affine(t), State{}, SaneHelperName)
	have := learnt(want, map[string]string{"198.51.100.1": "10.9.9.9:21"})
	have.Set("affport4-farm").Elements = nil
	if p := Diff(have, want); !p.Empty() {
		t.Errorf("the plan is\n%s", p.Text())
	}
}

// Another time makes the maps again, and the rules that name them.
func TestAffinityTimeChanges(t *testing.T) {
	cfg := affine(t)
	have := learnt(Build(cfg, State{}, SaneHelperName), map[string]string{"198.51.100.1": "10.0.0.1:21"})
	cfg.Pools[0].Affinity = 2 * time.Hour
	text := Diff(have, Build(cfg, State{}, SaneHelperName)).Text()
	for _, line := range []string{
		"- map affinity4-farm { type ipv4_addr : ipv4_addr; timeout 3600s }\n",
		"+ map affinity4-farm { type ipv4_addr : ipv4_addr; timeout 7200s }\n",
		"+ rules learn-farm: written anew\n",
		"+ rules pool-farm: written anew\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the plan lacks %q:\n%s", line, text)
		}
	}
}

// The maps go with the pool's affinity.
func TestAffinityGoes(t *testing.T) {
	cfg := affine(t)
	have := learnt(Build(cfg, State{}, SaneHelperName), map[string]string{"198.51.100.1": "10.0.0.1:21"})
	cfg.Pools[0].Affinity = 0
	text := Diff(have, Build(cfg, State{}, SaneHelperName)).Text()
	for _, line := range []string{"- chain learn-farm\n", "- map affport6-farm { type ipv6_addr : inet_service; timeout 3600s }\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("the plan lacks %q:\n%s", line, text)
		}
	}
}
