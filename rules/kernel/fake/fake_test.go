package fake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
	"ftpvip/tests/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// farms are configurations that differ in all kinds of objects.
var farms = []string{
	`vips: [{name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}]
pools: [{name: farm, backends: [{name: a, addresses: [10.2.0.11]}, {name: b, addresses: [10.2.0.12]}]}]
`,
	`vips:
  - {name: ftp, addresses: [192.0.2.10, "2001:db8::10"], port: 21, pool: farm}
  - {name: web, addresses: [192.0.2.11], port: 80, pool: other, application: tcp}
pools:
  - {name: farm, scheduler: random, affinity: 10m, backends: [{name: a, addresses: [10.2.0.11, "fd00::11"]}, {name: b, addresses: [10.2.0.12, "fd00::12"]}]}
  - {name: other, scheduler: round-robin, backends: [{name: a, addresses: [10.2.0.21]}]}
`,
	`vips:
  - name: ftp
    addresses: [192.0.2.10]
    port: 21
    pool: farm
    deny: [198.51.100.0/24]
    limits: {new_per_second_per_client: 5}
pools: [{name: farm, scheduler: random, backends: [{name: a, addresses: [10.2.0.11]}, {name: c, addresses: [10.2.0.13]}]}]
`,
}

// build makes the table of a farm.
func build(t *testing.T, text string, down ...string) *rules.Ruleset {
	t.Helper()
	cfg, err := configs.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	state := rules.State{Down: map[configs.Ref]bool{}}
	for _, name := range down {
		state.Down[configs.Ref{Pool: "farm", Backend: name}] = true
	}
	return rules.Build(cfg, state, rules.SaneHelperName)
}

// nfTables is what the kernel and the fake have in common.
type nfTables interface {
	Read(want *rules.Ruleset) (*rules.Ruleset, error)
	ReadSlots(want *rules.Ruleset) (*rules.Ruleset, error)
	Commit(p *rules.Plan) error
}

// apply makes the table match want.
func apply(t *testing.T, k nfTables, want *rules.Ruleset) {
	t.Helper()
	have, err := k.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(rules.Diff(have, want)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, k *Kernel) *Conn {
	t.Helper()
	c, err := k.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestApply: whatever is there, the table becomes what is wanted, and the next plan is empty.
func TestApply(t *testing.T) {
	k := &Kernel{}
	c := open(t, k)
	for _, i := range []int{0, 1, 2, 1, 0, 2, 0} {
		want := build(t, farms[i])
		apply(t, c, want)
		have, err := c.Read(want)
		if err != nil {
			t.Fatal(err)
		}
		if p := rules.Diff(have, want); !p.Empty() {
			t.Errorf("farm %d: still to do:\n%s", i, p.Text())
		}
	}
	if text := k.Text(); !strings.Contains(text, "dnat ip to jhash ip saddr mod 251") || !strings.HasPrefix(text, "table inet ftpvip {\n") {
		t.Errorf("text:\n%s", text)
	}
	if had, err := c.Flush(); !had || err != nil || k.Text() != "" {
		t.Errorf("flush: %v, %v, %q", had, err, k.Text())
	}
	if had, err := c.Flush(); had || err != nil {
		t.Errorf("another flush: %v, %v", had, err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil || k.Opened() != 0 {
		t.Errorf("%v, %d open", err, k.Opened())
	}
}

// refusals are plans that the kernel refuses after the first farm was applied.
var refusals = []struct {
	name string
	ops  func(r *rules.Ruleset) []rules.Operation
	want error
	also error // what other kernels say; nil: all say the same
}{
	{"an element of a set that is not there", func(*rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Add, Object: rules.Elements{Set: oneAddress("nosuch")}}}
	}, unix.ENOENT, nil},
	{"deleting an element that is not there", func(*rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: rules.Elements{Set: oneAddress("addresses4")}}}
	}, unix.ENOENT, nil},
	{"other data for a key", func(r *rules.Ruleset) []rules.Operation {
		s := *r.Set("slots4-farm")
		s.Elements = []rules.Element{{Key: s.Elements[0].Key, Data: "\x0a\x02\x00\x63\x00\x15\x00\x00"}}
		return []rules.Operation{{Verb: rules.Add, Object: rules.Elements{Set: &s}}}
	}, unix.EEXIST, nil},
	{"a chain still referred to by an element", func(r *rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: r.Chain("pool-farm")}}
	}, unix.EBUSY, nil},
	{"a chain still referred to by a rule", func(r *rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: r.Chain("select4")}}
	}, unix.EBUSY, nil},
	{"a set still referred to", func(r *rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: r.Set("slots4-farm")}}
	}, unix.EBUSY, nil},
	{"a ct helper still referred to", func(r *rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: r.Helpers[0]}}
	}, unix.EBUSY, nil},
	{"a chain that is not there", func(*rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: &rules.Chain{Name: "nosuch"}}}
	}, unix.ENOENT, nil},
	{"a set that is not there", func(*rules.Ruleset) []rules.Operation {
		return []rules.Operation{{Verb: rules.Delete, Object: oneAddress("nosuch")}}
	}, unix.ENOENT, nil},
	{"a rule of a chain that is not there", func(*rules.Ruleset) []rules.Operation {
		c := &rules.Chain{Name: "nosuch", Rules: []rules.Rule{{Statements: []rules.Statement{rules.Accept{}}}}}
		return []rules.Operation{{Verb: rules.Add, Object: rules.Rules{Chain: c}}}
	}, unix.ENOENT, nil},
	{"a rule that goes nowhere", func(*rules.Ruleset) []rules.Operation {
		return goes("nosuch")
	}, unix.ENOENT, nil},
	{"a rule that goes to a base chain", func(*rules.Ruleset) []rules.Operation {
		return goes("prerouting")
	}, unix.EOPNOTSUPP, nil},
	{"an element that goes nowhere", func(r *rules.Ruleset) []rules.Operation {
		s := *r.Set("vips4")
		s.Elements = []rules.Element{{Key: "\xc0\x00\x02\x63\x00\x15\x00\x00", Goto: "nosuch"}}
		return []rules.Operation{{Verb: rules.Add, Object: rules.Elements{Set: &s}}}
	}, unix.ENOENT, nil},
	{"a slot beyond the table", func(r *rules.Ruleset) []rules.Operation {
		s := *r.Set("slots4-farm")
		s.Elements = []rules.Element{{Key: "\xff\xff\x00\x00", Data: s.Elements[0].Data}}
		return []rules.Operation{{Verb: rules.Add, Object: rules.Elements{Set: &s}}}
	}, unix.ENFILE, nil},
	{"a chain with another hook", func(r *rules.Ruleset) []rules.Operation {
		c := *r.Chain("prerouting")
		c.Base = &rules.Base{Type: rules.TypeNAT, Hook: rules.HookPrerouting, Priority: -99}
		return []rules.Operation{{Verb: rules.Add, Object: &c}}
	}, unix.EEXIST, unix.EOPNOTSUPP}, // Linux 6.1 and 6.18
}

// taken are plans that the kernel takes, though one might think otherwise.
var taken = []struct {
	name string
	ops  func(r *rules.Ruleset) []rules.Operation
}{
	{"an element that is there already", func(r *rules.Ruleset) []rules.Operation {
		s := *r.Set("slots4-farm")
		s.Elements = s.Elements[:1]
		return []rules.Operation{{Verb: rules.Add, Object: rules.Elements{Set: &s}}}
	}},
	{"objects that are there already", func(r *rules.Ruleset) []rules.Operation {
		return []rules.Operation{
			{Verb: rules.Add, Object: rules.Table{}}, {Verb: rules.Add, Object: r.Set("slots4-farm")},
			{Verb: rules.Add, Object: r.Chain("prerouting")}, {Verb: rules.Add, Object: r.Chain("pool-farm")},
		}
	}},
	{"deleting the rules of a chain that has none", func(*rules.Ruleset) []rules.Operation {
		c := &rules.Chain{Name: "more"}
		return []rules.Operation{{Verb: rules.Add, Object: c}, {Verb: rules.Delete, Object: rules.Rules{Chain: c}}, {Verb: rules.Delete, Object: c}}
	}},
	{"deleting a chain with its rules, and a set with its elements", func(*rules.Ruleset) []rules.Operation {
		c := &rules.Chain{Name: "more", Rules: []rules.Rule{{Statements: []rules.Statement{rules.Accept{}}}}}
		s := oneAddress("more4")
		return []rules.Operation{
			{Verb: rules.Add, Object: c}, {Verb: rules.Add, Object: s}, {Verb: rules.Add, Object: rules.Elements{Set: s}},
			{Verb: rules.Add, Object: rules.Rules{Chain: c}}, {Verb: rules.Delete, Object: c}, {Verb: rules.Delete, Object: s},
		}
	}},
}

func oneAddress(set string) *rules.Set {
	return &rules.Set{Name: set, Key: []rules.Type{rules.Addr4}, Elements: []rules.Element{{Key: "\xc0\x00\x02\x63"}}}
}

func goes(chain string) []rules.Operation {
	c := &rules.Chain{Name: "pool-farm", Rules: []rules.Rule{{Statements: []rules.Statement{rules.Goto{Chain: chain}}}}}
	return []rules.Operation{{Verb: rules.Add, Object: rules.Rules{Chain: c}}}
}

// refuse wants all refusals, after which nothing has changed, and no others.
func refuse(t *testing.T, k nfTables) {
	want := build(t, farms[0])
	apply(t, k, want)
	for _, tt := range taken {
		t.Run(tt.name, func(t *testing.T) {
			have, err := k.Read(want)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Commit(&rules.Plan{Operations: tt.ops(have)}); err != nil {
				t.Error(err)
			}
			have, err = k.Read(want)
			if err != nil {
				t.Fatal(err)
			}
			if p := rules.Diff(have, want); !p.Empty() {
				t.Errorf("it changed something:\n%s", p.Text())
			}
		})
	}
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			have, err := k.Read(want)
			if err != nil {
				t.Fatal(err)
			}
			extra := rules.Operation{Verb: rules.Add, Object: rules.Counter{Name: "half"}} // must not stay
			p := &rules.Plan{Operations: append([]rules.Operation{extra}, tt.ops(have)...)}
			if err := k.Commit(p); !errors.Is(err, tt.want) && (tt.also == nil || !errors.Is(err, tt.also)) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			have, err = k.Read(want)
			if err != nil {
				t.Fatal(err)
			}
			if p := rules.Diff(have, want); !p.Empty() {
				t.Errorf("it changed something:\n%s", p.Text())
			}
		})
	}
}

func TestRefusals(t *testing.T) { refuse(t, open(t, &Kernel{})) }

// TestKernelRefusals: the kernel refuses the same with the same errors.
func TestKernelRefusals(t *testing.T) { refuse(t, openKernel(t)) }

func openKernel(t *testing.T) *kernel.Kernel {
	t.Helper()
	lab.Require(t, lab.Root, lab.NFT)
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := k.Flush()
		if err := errors.Join(err, k.Close()); err != nil {
			t.Error(err)
		}
	})
	return k
}

// TestLikeKernel carries out plans of which operations were left out, on the fake and in the kernel: both take them or both
// refuse them, with the same error, and both have the same table afterwards.
func TestLikeKernel(t *testing.T) {
	real, unreal := openKernel(t), open(t, &Kernel{})
	const seed1, seed2 = 10, 7
	random := rand.New(rand.NewPCG(seed1, seed2)) // #nosec G404 -- a test that can be repeated
	accepted, refused := 0, 0
	for n := range 150 {
		var down []string
		if random.IntN(2) == 0 {
			down = append(down, "a")
		}
		want := build(t, farms[random.IntN(len(farms))], down...)
		a, errA := real.Read(want)
		b, errB := unreal.Read(want)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		p := rules.Diff(b, want)
		if other := rules.Diff(a, want); shown(p) != shown(other) {
			t.Fatalf("round %d: plans differ (-kernel +fake)\n%s", n, cmp.Diff(shown(other), shown(p)))
		}
		if random.IntN(4) > 0 {
			for range random.IntN(3) {
				if i := random.IntN(len(p.Operations) + 1); i < len(p.Operations) {
					p.Operations = slices.Delete(p.Operations, i, i+1)
				}
			}
		}
		errA, errB = real.Commit(p), unreal.Commit(p)
		if numberA, numberB := number(errA), number(errB); numberA != numberB {
			t.Fatalf("round %d: the kernel says %v, the fake %v, of:\n%s", n, errA, errB, p.Text())
		}
		if errA == nil {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 20 || refused < 20 {
		t.Errorf("%d plans were taken and %d refused: too few to tell", accepted, refused)
	}
}

// shown is a plan in an order of its own: the kernel lists objects in another one. Handles of rules are left out.
func shown(p *rules.Plan) string {
	var lines []string
	for line := range strings.Lines(p.Text()) {
		if strings.Contains(line, "not ours") {
			line = strings.SplitN(line, ":", 2)[0] + ": not ours\n"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// number is the error's number, or what it says.
func number(err error) string {
	if err == nil {
		return ""
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return fmt.Sprint(errno)
	}
	return err.Error()
}

// TestGeneration: a plan that was made of what is not there any more is refused.
func TestGeneration(t *testing.T) {
	k := &Kernel{}
	c, other := open(t, k), open(t, k)
	want := build(t, farms[0])
	have, err := c.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, other, want)
	if err := c.Commit(rules.Diff(have, want)); !errors.Is(err, kernel.ErrChanged) {
		t.Errorf("after another program's commit: %v", err)
	}
	if _, err := c.Read(want); err != nil {
		t.Fatal(err)
	}
	k.Meanwhile = k.Touch
	if err := c.Commit(rules.Diff(nil, want)); !errors.Is(err, kernel.ErrChanged) {
		t.Errorf("after another program's change: %v", err)
	}
}

// TestLearnt: what rules add changes no generation; what was forgotten meanwhile is a reason to read again.
func TestLearnt(t *testing.T) {
	k := &Kernel{}
	c := open(t, k)
	apply(t, c, build(t, farms[1]))
	gone := "\x0a\x02\x00\x63" // no backend
	k.Learn("affinity4-farm", rules.Element{Key: "\xc6\x33\x64\x01", Data: gone})
	k.Learn("affport4-farm", rules.Element{Key: "\xc6\x33\x64\x01", Data: "\x00\x15\x00\x00"})
	want := build(t, farms[1])
	want.Chains = nil
	have, err := c.ReadSlots(want)
	if err != nil {
		t.Fatal(err)
	}
	p := rules.SlotDiff(have, want)
	if deleted, added := p.Elements(); deleted != 2 || added != 0 || !p.Forgets() {
		t.Fatalf("%d deleted, %d added:\n%s", deleted, added, p.Text())
	}
	if err := c.Commit(p); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadSlots(want); err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(p); !errors.Is(err, kernel.ErrChanged) {
		t.Errorf("clients that were forgotten already: %v", err)
	}
	if s := k.Set("affinity4-farm"); s == nil || len(s.Elements) > 0 {
		t.Errorf("the map of clients: %v", s)
	}
}
