package kernel

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"ftpvip/rules"
)

// TestProbeLacks: a probe tells what the kernel lacks from what it has, and leaves nothing behind.
func TestProbeLacks(t *testing.T) {
	k := open(t)
	if has, err := probe(regularChain, &expr.Notrack{}); !has || err != nil {
		t.Errorf("what every kernel has: %t, %v", has, err)
	}
	if has, err := probe(regularChain, &expr.Match{Name: "no-such-match", Info: &xt.Unknown{}}); has || err != nil {
		t.Errorf("what no kernel has: %t, %v", has, err)
	}
	// A base chain of a type that the hook does not allow is refused, too, but says nothing about the expression.
	chain := &rules.Chain{Name: probeName, Base: &rules.Base{Type: "none", Hook: rules.HookInput}}
	if has, err := probe(chain, &expr.Notrack{}); err == nil {
		t.Errorf("a chain that is refused: %t, no error", has)
	}
	tables, err := k.conn.ListTables()
	if err != nil || len(tables) > 0 {
		t.Errorf("there are %d tables afterwards, %v", len(tables), err)
	}
}

// What the probes say is what nft says, and they leave nothing behind.
func TestProbes(t *testing.T) {
	k := open(t)
	for statement, has := range map[string]func() (bool, error){
		"ct count over 1 drop": k.HasConnlimit, "limit rate 1/second accept": k.HasLimit,
		"queue to 1": func() (bool, error) { return k.HasQueue(), nil },
	} {
		cmd := exec.Command("nft", "--check", "--file", "-")
		cmd.Stdin = strings.NewReader("table inet probe { chain c { " + statement + "; }; }")
		want := cmd.Run() == nil
		if got, err := has(); err != nil || got != want {
			t.Errorf("%s: %v, %v; nft says %v", statement, got, err, want)
		}
	}
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil || strings.Contains(string(out), "probe") {
		t.Errorf("%v: %s", err, out)
	}
}
