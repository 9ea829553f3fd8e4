package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// TestApplyTwice checks that the second apply writes nothing.
func TestApplyTwice(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat})
			before := f.generation(t)
			r := f.do(t, "apply")
			if got := f.generation(t); got != before {
				t.Errorf("the second apply made %d transactions", got-before)
			}
			if out := strings.ToLower(r.Stdout); !strings.Contains(out, "nothing") && !strings.Contains(out, "no change") {
				t.Errorf("it does not say that nothing changed: %s", r)
			}
			f.exits(t, 0, "diff")
		})
	}
}

// queueStatement ends the rules that send packets to the helper.
var queueStatement = regexp.MustCompile(`queue (to|num|flags) .*`)

// TestDryRun loads what `apply --dry-run` prints into another host, where it must list as what apply made here.
func TestDryRun(t *testing.T) {
	f := newFarm(t, arrangement{})
	f.do(t, "flush")
	before := f.generation(t)
	text := f.do(t, "apply", "--dry-run").Stdout
	if got := f.generation(t); got != before {
		t.Errorf("a dry run made %d transactions", got-before)
	}
	f.do(t, "apply")
	list := func(n *lab.Namespace) string {
		t.Helper()
		r, err := n.Run(t.Context(), lab.Command{Args: []string{"nft", "list", "table", "inet", "ftpvip"}})
		must(t, err)
		if r.Code != 0 {
			t.Fatal(r)
		}
		return r.Stdout
	}
	applied := list(f.Balancer)
	if lab.NFTQueue.Check() != nil {
		// Then apply uses another means to the same end, which nft can print but not load.
		text = queueStatement.ReplaceAllString(text, "accept")
		applied = queueStatement.ReplaceAllString(applied, "accept")
	}
	other := f.Backends[0].Namespace
	load, err := other.Run(t.Context(), lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(text)})
	must(t, err)
	if load.Code != 0 {
		t.Fatalf("%s\n%s", load, text)
	}
	if diff := cmp.Diff(applied, list(other)); diff != "" {
		t.Errorf("-applied +dry run, loaded by nft:\n%s", diff)
	}
}

// TestElementDeletedByHand takes single elements out of the kernel, which diff must name and apply put back.
func TestElementDeletedByHand(t *testing.T) {
	f := newFarm(t, arrangement{})
	for _, tc := range []struct {
		object, element, name string
	}{
		{"vips4", "192.0.2.10 . 21", "192.0.2.10"},
		{"vips6", "2001:db8::10 . 21", "2001:db8::10"},
		{"control4", "192.0.2.10 . 21", "192.0.2.10"},
		{"active4", "10.2.0.11", "10.2.0.11"},
		{"slots4-embedded", "17", "17"},
	} {
		t.Run(tc.object, func(t *testing.T) {
			f.exits(t, 0, "diff")
			f.nft(t, "delete", "element", "inet", "ftpvip", tc.object, "{ "+tc.element+" }")
			r := f.exits(t, 1, "diff")
			for _, want := range []string{tc.object, tc.name} {
				if !strings.Contains(r.Stdout, want) {
					t.Errorf("diff does not name %s: %s", want, r)
				}
			}
			before := f.generation(t)
			f.do(t, "apply")
			if n := f.generation(t) - before; n != 1 {
				t.Errorf("apply made %d transactions, want 1", n)
			}
			f.exits(t, 0, "diff")
		})
	}
	f.landings(t, f.vips[0])
}

// TestApplyUnderTransfers changes the configuration and applies it, again and again, while files move.
func TestApplyUnderTransfers(t *testing.T) {
	f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}})
	v := f.vips[0]
	slow := f.startSlowInAll(t, v)
	f.do(t, "apply")
	for _, change := range []func(){
		func() { v.Weights = []int{1, 99} },
		func() { v.Weights = []int{99, 1} },
		func() { v.Backends, v.Weights = v.Backends[:1], nil },
		func() { v.Backends = f.Backends[:2]; v.Scheduler = "round-robin" },
		func() { v.Scheduler = "" },
	} {
		change()
		must(t, f.ftpvip.Configure(f.config()))
		f.exits(t, 1, "diff")
		f.do(t, "apply")
		f.exits(t, 0, "diff")
	}
	for _, s := range slow {
		s.finish(t)
	}
	for _, s := range slow {
		s.reuse(t)
	}
}

// TestNothingIsLeft takes everything back: what the admin has is as it was.
func TestNothingIsLeft(t *testing.T) {
	f := newFarm(t, arrangement{})
	f.do(t, "flush")
	admin := f.nft(t, "list", "ruleset")
	if strings.Contains(admin, "ftpvip") {
		t.Errorf("flush leaves\n%s", admin)
	}
	f.do(t, "apply")
	f.landings(t, f.vips[0])
	f.health(t, 1)
	r, err := f.helper.Stop(t.Context())
	must(t, err)
	if r.Code != 0 {
		t.Errorf("the helper ends badly: %s", r)
	}
	f.do(t, "flush")
	if diff := cmp.Diff(admin, f.nft(t, "list", "ruleset")); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	f.exits(t, 1, "diff")
	f.do(t, "flush") // once more, with nothing there
}
