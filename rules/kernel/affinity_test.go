package kernel

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/rules"
)

// What the kernel learnt outlives an apply, is read back, and goes with the backend it names.
func TestAffinity(t *testing.T) {
	k := open(t)
	cfg := farm(2)
	cfg.Pools[0].Scheduler, cfg.Pools[0].Affinity = configs.RoundRobin, time.Hour
	want := build(cfg)
	apply(t, k, want)
	inStep(t, k, want)
	for _, s := range []string{
		"affinity4-farm0 { 198.51.100.1 : 10.2.0.11, 198.51.100.2 : 10.2.0.12 }",
		"affport4-farm0 { 198.51.100.1 : 21, 198.51.100.2 : 21 }",
		"affinity6-farm0 { 2001:db8:1::1 : fd00:0::11 }",
		"affport6-farm0 { 2001:db8:1::1 : 21 }",
	} {
		nft(t, "add element inet ftpvip "+s)
	}
	if p := apply(t, k, want); !p.Empty() {
		t.Errorf("apply after clients came:\n%s", p.Text())
	}

	down := rules.Build(cfg, rules.State{Down: map[configs.Ref]bool{{Pool: "farm0", Backend: "ftp1"}: true}}, rules.SaneHelperName)
	have, err := k.ReadSlots(down)
	if err != nil {
		t.Fatal(err)
	}
	p := rules.SlotDiff(have, down)
	if err := k.Commit(p); err != nil {
		t.Fatal(err)
	}
	inStep(t, k, down)
	for name, holds := range map[string]string{"affinity4-farm0": "198.51.100.2", "affport4-farm0": "198.51.100.2", "affinity6-farm0": "", "affport6-farm0": ""} {
		text := nft(t, "list map inet ftpvip "+name)
		if strings.Contains(text, "198.51.100.1 ") || strings.Contains(text, "2001:db8:1::1") || !strings.Contains(text, holds) {
			t.Errorf("the map should hold %q:\n%s", holds, text)
		}
	}

	// What the kernel forgot meanwhile is no failure: read again.
	nft(t, "delete element inet ftpvip affinity4-farm0 { 198.51.100.2 }")
	stale := &rules.Plan{Operations: []rules.Operation{{Verb: rules.Delete, Object: rules.Elements{Set: &rules.Set{
		Name: "affinity4-farm0", Key: []rules.Type{rules.Addr4}, Data: []rules.Type{rules.Addr4},
		Dynamic:  &rules.Dynamic{Size: rules.AffinityMax, Timeout: time.Hour},
		Elements: []rules.Element{{Key: "\xc6\x33\x64\x02", Data: "\x0a\x02\x00\x0c"}},
	}}}}}
	if _, err := k.ReadSlots(down); err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(stale); !errors.Is(err, ErrChanged) {
		t.Errorf("deleting what is gone: %v, want %v", err, ErrChanged)
	}

	cfg.Pools[0].Affinity = 2 * time.Hour
	want = build(cfg)
	apply(t, k, want)
	inStep(t, k, want)
	cfg.Pools[0].Affinity = 0
	want = build(cfg)
	apply(t, k, want)
	inStep(t, k, want)
	if text := nft(t, "list table inet ftpvip"); strings.Contains(text, "affinity4-") {
		t.Error("the maps are still there")
	}
}
