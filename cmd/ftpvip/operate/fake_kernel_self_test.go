package operate

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// TestFakeKernelRefuses: the fake is no friendlier than nf_tables, and a transaction that fails leaves it as it was.
func TestFakeKernelRefuses(t *testing.T) {
	w := newWorld(t)
	w.apply()
	table, err := w.kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	have, err := table.Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	slots := have.Set("slots4-farm")
	element := slots.Elements[:1]
	gone := []rules.Element{{Key: "none", Data: "none"}}
	with := func(elements []rules.Element) rules.Elements {
		s := *slots
		s.Elements = elements
		return rules.Elements{Set: &s}
	}
	add := func(o rules.Object) rules.Operation { return rules.Operation{Verb: rules.Add, Object: o} }
	del := func(o rules.Object) rules.Operation { return rules.Operation{Verb: rules.Delete, Object: o} }
	before := w.kernel.Text()
	for _, tt := range []struct {
		name string
		plan []rules.Operation
		want error
	}{
		{"an element that is not there", []rules.Operation{del(with(element)), del(with(gone))}, unix.ENOENT},
		{"an element twice", []rules.Operation{del(with(element)), add(with(element)), add(with(element))}, unix.EEXIST},
		{"a set that is referred to", []rules.Operation{del(slots)}, unix.EBUSY},
		{"a chain that is referred to", []rules.Operation{del(have.Chain("select4"))}, unix.EBUSY},
		{"a chain that has rules", []rules.Operation{del(have.Chain("control"))}, unix.EBUSY},
		{"a chain twice", []rules.Operation{add(have.Chain("control"))}, unix.EEXIST},
		{"a rule of a chain that is not there", []rules.Operation{add(rules.Rules{Chain: &rules.Chain{Name: "none"}})}, unix.ENOENT},
		{"a rule that names what is not there", []rules.Operation{add(rules.Rules{Chain: &rules.Chain{
			Name: "control", Rules: []rules.Rule{{Statements: []rules.Statement{rules.Goto{Chain: "none"}}}},
		}})}, unix.ENOENT},
		{"a helper that is referred to", []rules.Operation{del(have.Helpers[0])}, unix.EBUSY},
	} {
		if err := table.Commit(&rules.Plan{Operations: tt.plan}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if w.kernel.Text() != before {
			t.Fatalf("%s: the table has changed", tt.name)
		}
	}
	if !strings.Contains(before, "table inet ftpvip {") || !strings.Contains(before, "goto select4") {
		t.Errorf("it does not print nft text:\n%s", before)
	}
}
