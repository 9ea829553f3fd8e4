package kernel

import (
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
