package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

func config() *configs.Config {
	addr := netip.MustParseAddr
	cfg := &configs.Config{
		VIPs: []configs.VIP{{
			Name: "ftp", Addrs: configs.Addrs{V4: addr("192.0.2.10")}, Port: 21,
			Application: configs.FTPControl, OnHelperDown: configs.Hold,
		}},
		Pools: []configs.Pool{{
			Name: "farm", Scheduler: configs.SourceHash, SNAT: configs.SNAT{Mode: configs.SNATNone},
			Backends: []configs.Backend{
				{Name: "ftp1", Addrs: configs.Addrs{V4: addr("10.2.0.11")}, Port: 21, Weight: 10},
				{Name: "ftp2", Addrs: configs.Addrs{V4: addr("10.2.0.12")}, Port: 21, Weight: 10},
			},
		}},
		Helper: configs.Helper{Queues: 2, FirstQueue: 2100, Carrier: configs.CarrierAuto},
	}
	cfg.VIPs[0].Pool, cfg.Pools[0].SourceGroup = &cfg.Pools[0], &cfg.VIPs[0]
	cfg.Link()
	return cfg
}

func built(change func(*configs.Config), down ...string) *Ruleset {
	cfg := config()
	if change != nil {
		change(cfg)
	}
	cfg.Link()
	state := State{Down: map[configs.Ref]bool{}}
	for _, name := range down {
		state.Down[configs.Ref{Pool: "farm", Backend: name}] = true
	}
	return Build(cfg, state, SaneHelperName)
}

func limited(perClient int) func(*configs.Config) {
	return func(c *configs.Config) { c.VIPs[0].Limits.PerClient = perClient }
}

func denied(prefixes ...string) func(*configs.Config) {
	return func(c *configs.Config) {
		for _, p := range prefixes {
			c.VIPs[0].Deny = append(c.VIPs[0].Deny, netip.MustParsePrefix(p))
		}
	}
}

func TestDiffSame(t *testing.T) {
	if p := Diff(built(nil), built(nil)); !p.Empty() || p.Text() != "" {
		t.Errorf("plan of no change:\n%s", p.Text())
	}
}

// What a change of the configuration does to the table, as an admin reads it in `ftpvip diff`.
func TestDiff(t *testing.T) {
	tests := []struct {
		name         string
		have, want   *Ruleset
		elementsOnly bool
		text         []string // all lines, those about slots folded to "... x N"
	}{
		{
			name: "backend down", have: built(nil), want: built(nil, "ftp2"), elementsOnly: true,
			text: []string{"- element slots4-farm x 125", "+ element slots4-farm x 125"},
		},
		{
			name: "all down", have: built(nil), want: built(nil, "ftp1", "ftp2"), elementsOnly: true,
			text: []string{"- element slots4-farm x 251"},
		},
		{
			name: "scheduler", have: built(nil),
			want: built(func(c *configs.Config) { c.Pools[0].Scheduler = configs.RoundRobin }),
			text: []string{
				"- element slots4-farm x 126", "+ element slots4-farm x 126",
				"- rule pool-farm: meta nfproto ipv4 meta l4proto tcp dnat ip to jhash ip saddr mod 251 seed 0x66747076 map @slots4-farm",
				"+ rule pool-farm: meta nfproto ipv4 meta l4proto tcp dnat ip to numgen inc mod 251 map @slots4-farm",
			},
		},
		{
			name: "another limit", have: built(limited(5)), want: built(limited(6)),
			text: []string{
				"- set clients4-ftp { type ipv4_addr }",
				"+ set clients4-ftp { type ipv4_addr }",
				"- rule guard-ftp: meta nfproto ipv4 meta l4proto tcp add @clients4-ftp { ip saddr ct count over 5 } counter name \"clients-ftp\" reject with tcp reset",
				"+ rule guard-ftp: meta nfproto ipv4 meta l4proto tcp add @clients4-ftp { ip saddr ct count over 6 } counter name \"clients-ftp\" reject with tcp reset",
			},
		},
		{
			name: "limit goes", have: built(limited(5)), want: built(nil),
			text: []string{
				"- counter clients-ftp",
				"- set clients4-ftp { type ipv4_addr }",
				"- element guard4 { 192.0.2.10 . 21 : goto guard-ftp }",
				"- chain guard-ftp",
				"- rule guard-ftp: meta nfproto ipv4 meta l4proto tcp add @clients4-ftp { ip saddr ct count over 5 } counter name \"clients-ftp\" reject with tcp reset",
			},
		},
		{
			name: "list grows", have: built(denied("10.0.0.0/8")), want: built(denied("10.0.0.0/8", "192.0.2.0/24")), elementsOnly: true,
			text: []string{"+ element deny4-ftp { 192.0.2.0/24 }"},
		},
		{
			name: "one-arm", have: built(nil), elementsOnly: true,
			want: built(func(c *configs.Config) { c.Pools[0].SNAT.Mode = configs.SNATMasquerade }),
			text: []string{
				"- element hairpin4 { 10.2.0.11 }", "- element hairpin4 { 10.2.0.12 }",
				"+ element masquerade4 { 192.0.2.10 . 21 }",
			},
		},
		{
			name: "VIP gone", have: built(nil), want: built(func(c *configs.Config) { c.VIPs = nil; c.Pools[0].SourceGroup = nil }),
			text: []string{
				"- map slots4-farm { typeof numgen inc mod 251 : ip daddr . tcp dport }",
				"- element vips4 { 192.0.2.10 . 21 : goto pool-farm }", "- element control4 { 192.0.2.10 . 21 }",
				"- element reset4 { 192.0.2.10 . 21 }",
				"- element active4 { 10.2.0.11 : 192.0.2.10 }", "- element active4 { 10.2.0.12 : 192.0.2.10 }", "- element servers4 { 10.2.0.11 . 21 }",
				"- element servers4 { 10.2.0.12 . 21 }", "- element addresses4 { 192.0.2.10 }",
				"- chain pool-farm",
				"- rule pool-farm: meta nfproto ipv4 meta l4proto tcp dnat ip to jhash ip saddr mod 251 seed 0x66747076 map @slots4-farm",
			},
		},
		{
			name: "other carrier", have: built(nil), want: Build(config(), State{}, CTHelperName),
			text: []string{
				`- ct helper ftp4 type "sane"`, `- ct helper ftp6 type "sane"`,
				`+ ct helper ftp4 type "ftpvip"`, `+ ct helper ftp6 type "ftpvip"`,
				"+ rules assign: written anew", "+ rules assign-output: written anew",
			},
		},
		{
			name: "foreign rule and set",
			have: func() *Ruleset {
				r := built(nil)
				c := r.Chain("empty")
				c.Rules = append(c.Rules, Rule{Foreign: "handle 7, not ours (counter)"})
				r.Sets = append(r.Sets, &Set{Name: "mine"})
				return r
			}(),
			want: built(nil),
			text: []string{"- set or map mine (not ours, or of another type)", "- rule empty: handle 7, not ours (counter)"},
		},
		{
			name: "policy drop",
			have: func() *Ruleset {
				r := built(nil)
				r.Chain("empty").Base.Drop = true
				return r
			}(),
			want: built(nil),
			text: []string{
				"- chain empty { type filter hook forward priority 0; policy drop; }",
				"+ chain empty { type filter hook forward priority 0; policy accept; }",
				"+ rules empty: written anew",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Diff(tt.have, tt.want)
			if p.Empty() || p.ElementsOnly() != tt.elementsOnly {
				t.Errorf("empty %t, elements only %t", p.Empty(), p.ElementsOnly())
			}
			if d := cmp.Diff(tt.text, counted(p.Text()), cmp.Transformer("text", func(s []string) string { return strings.Join(s, "\n") })); d != "" {
				t.Errorf("text differs (-want +got)\n%s", d)
			}
		})
	}
}

// counted folds the many lines about slots.
func counted(text string) []string {
	var folded []string
	counts := map[string]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if sign, ok := strings.CutSuffix(line[:min(len(line), len("- element slots4-farm"))], " element slots4-farm"); ok {
			key := sign + " element slots4-farm"
			if counts[key]++; counts[key] == 1 {
				folded = append(folded, key)
			}
			continue
		}
		folded = append(folded, line)
	}
	for i, line := range folded {
		if n := counts[line]; n > 0 {
			folded[i] = fmt.Sprintf("%s x %d", line, n)
		}
	}
	return folded
}

func TestSlotDiffTouchesSlotsOnly(t *testing.T) {
	have := built(nil)
	want := built(func(c *configs.Config) { c.Pools[0].SNAT.Mode = configs.SNATMasquerade }, "ftp1")
	p := SlotDiff(have, want)
	if p.Empty() || !p.ElementsOnly() {
		t.Fatalf("empty %t, elements only %t", p.Empty(), p.ElementsOnly())
	}
	for _, o := range p.Operations {
		if name := o.Object.Reference().Name; name != "slots4-farm" {
			t.Errorf("touches %s", name)
		}
	}
	if deleted, added := p.Elements(); deleted != 126 || added != 126 {
		t.Errorf("%d deleted, %d added", deleted, added)
	}
}

// The number of base chains and of their rules does not grow with VIPs.
func TestRulesDoNotGrow(t *testing.T) {
	shape := func(r *Ruleset) (chains, rules int) {
		for _, c := range r.Chains {
			if c.Base != nil {
				chains++
				rules += len(c.Rules)
			}
		}
		return chains, rules
	}
	chains, rules := shape(built(func(c *configs.Config) { c.VIPs = nil; c.Pools = nil }))
	many := built(func(c *configs.Config) {
		addr := c.VIPs[0].Addrs.V4
		for range 200 {
			addr = addr.Next()
			v := c.VIPs[0]
			v.Addrs.V4 = addr
			c.VIPs = append(c.VIPs, v)
		}
	})
	if c, r := shape(many); c != chains || r != rules {
		t.Errorf("201 VIPs: %d chains and %d rules, none: %d and %d", c, r, chains, rules)
	}
}
