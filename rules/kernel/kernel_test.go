package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/tests/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// farm is a configuration with so many VIPs, each with a pool of two backends, in both families.
func farm(vips int) *configs.Config {
	cfg := &configs.Config{Helper: configs.Helper{Queues: 2, FirstQueue: 2100}}
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for i := range vips {
		pool := fmt.Sprintf("farm%d", i)
		cfg.VIPs = append(cfg.VIPs, configs.VIP{
			Name: pool, Addrs: configs.Addrs{V4: v4, V6: v6}, Port: 21, Application: configs.FTPControl,
		})
		v4, v6 = v4.Next(), v6.Next()
		cfg.Pools = append(cfg.Pools, configs.Pool{
			Name: pool, Scheduler: configs.SourceHash,
			SNAT: configs.SNAT{Mode: configs.SNATNone},
			Backends: []configs.Backend{
				{
					Name: "ftp1", Port: 21, Weight: 10, PassivePorts: configs.PortRange{First: 50000, Last: 50999},
					Addrs: configs.Addrs{V4: backend("10.2.%d.11", i), V6: backend("fd00:%x::11", i)},
				},
				{
					Name: "ftp2", Port: 21, Weight: 10,
					Addrs: configs.Addrs{V4: backend("10.2.%d.12", i), V6: backend("fd00:%x::12", i)},
				},
			},
		})
	}
	for i := range cfg.VIPs {
		cfg.VIPs[i].Pool, cfg.Pools[i].SourceGroup = &cfg.Pools[i], &cfg.VIPs[i]
	}
	cfg.Link()
	return cfg
}

func backend(format string, i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(format, i)) }

func build(cfg *configs.Config) *rules.Ruleset {
	return rules.Build(cfg, rules.State{}, rules.SaneHelperName)
}

// open gives a test an empty kernel.
func open(t testing.TB) *Kernel {
	t.Helper()
	lab.Require(t, lab.Root, lab.NFT)
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := k.Flush(); err != nil {
			t.Error(err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// apply makes the kernel match want and returns what it took.
func apply(t testing.TB, k *Kernel, want *rules.Ruleset) *rules.Plan {
	t.Helper()
	have, err := k.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	p := rules.Diff(have, want)
	if err := k.Commit(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// inStep fails the test where the kernel differs from want.
func inStep(t testing.TB, k *Kernel, want *rules.Ruleset) {
	t.Helper()
	have, err := k.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	if p := rules.Diff(have, want); !p.Empty() {
		t.Errorf("the kernel differs:\n%s", p.Text())
	}
}

func nft(t testing.TB, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", command).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v\n%s", command, err, out)
	}
	return string(out)
}

func TestApplyTwiceWritesNothing(t *testing.T) {
	k := open(t)
	want := build(farm(3))
	if p := apply(t, k, want); !p.Has(rules.Add, rules.KindTable) {
		t.Error("the first plan does not create the table")
	}
	gen := k.generation
	if p := apply(t, k, want); !p.Empty() {
		t.Errorf("the second plan:\n%s", p.Text())
	}
	inStep(t, k, want)
	if k.generation != gen+1 {
		t.Errorf("generation went from %d to %d: more than one transaction was written", gen, k.generation)
	}
}

// Whatever somebody does to our table, diff shows it and apply restores it.
func TestMending(t *testing.T) {
	tests := []struct {
		name, nft string
		diff      string // a line of the diff begins so
	}{
		{"element deleted", "delete element inet ftpvip vips4 { 192.0.2.1 . 21 }", "+ element vips4 { 192.0.2.1 . 21 : goto pool-farm0 }"},
		{"element added", "add element inet ftpvip control4 { 192.0.2.99 . 21 }", "- element control4 { 192.0.2.99 . 21 }"},
		{"slot deleted", "delete element inet ftpvip slots6-farm1 { 250 }", "+ element slots6-farm1 { 250 : fd00:1::1"},
		{"source group deleted", "delete element inet ftpvip active4 { 10.2.0.12 }", "+ element active4 { 10.2.0.12 : "},
		{"slice deleted", "delete element inet ftpvip passive6 { 2001:db8::1 . 50000-50999 }", "+ element passive6 { 2001:db8::1 . 50000-50999 : fd00::11 }"},
		{"set added", "add set inet ftpvip mine { type mark; }", "- set or map mine"},
		{"rule added", "insert rule inet ftpvip prerouting tcp dport 21 accept", "- rule prerouting: handle"},
		{"rules deleted", "flush chain inet ftpvip assign", "+ rule assign: "},
		{"chain added", "add chain inet ftpvip mine", "- chain mine"},
		{"base chain added", "add chain inet ftpvip mine { type filter hook input priority 0; }", "- chain mine"},
		{"policy changed", "add chain inet ftpvip empty { type filter hook forward priority 0; policy drop; }", "- chain empty"},
		{"counter added", "add counter inet ftpvip mine", "- counter mine"},
		{"object added", "add quota inet ftpvip mine { 25 mbytes }", "- table inet ftpvip (made anew"},
		{"table dormant", "add table inet ftpvip { flags dormant; }", "- table inet ftpvip (made anew"},
		{"table deleted", "delete table inet ftpvip", "+ table inet ftpvip"},
		{"all flushed", "flush ruleset", "+ table inet ftpvip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := open(t)
			want := build(farm(2))
			apply(t, k, want)
			nft(t, tt.nft)
			have, err := k.Read(want)
			if err != nil {
				t.Fatal(err)
			}
			p := rules.Diff(have, want)
			if !strings.Contains("\n"+p.Text(), "\n"+tt.diff) {
				t.Errorf("diff does not name it with %q:\n%s", tt.diff, p.Text())
			}
			if err := k.Commit(p); err != nil {
				t.Fatal(err)
			}
			inStep(t, k, want)
		})
	}
}

// From each of these configurations to each other one, in one transaction.
func TestTransitions(t *testing.T) {
	states := map[string]*rules.Ruleset{
		"nothing":     build(farm(0)),
		"two farms":   build(farm(2)),
		"round-robin": build(with(farm(2), func(p *configs.Pool) { p.Scheduler = configs.RoundRobin })),
		"one-arm":     build(with(farm(2), func(p *configs.Pool) { p.SNAT.Mode = configs.SNATMasquerade })),
		"many backends": build(with(farm(1), func(p *configs.Pool) {
			for i := range 20 {
				p.Backends = append(p.Backends, configs.Backend{
					Name: fmt.Sprintf("more%d", i), Port: 21, Weight: 1,
					Addrs: configs.Addrs{V4: netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)})},
				})
			}
		})),
		"other queues": build(func() *configs.Config {
			cfg := farm(2)
			cfg.Helper = configs.Helper{Queues: 1, FirstQueue: 9}
			return cfg
		}()),
		"other carrier": rules.Build(farm(2), rules.State{}, "ftp"),
	}
	for from, a := range states {
		for to, b := range states {
			t.Run(from+" to "+to, func(t *testing.T) {
				if (from == "other carrier" || to == "other carrier") && !hasFTP(t) {
					t.Skip("this kernel has no conntrack helper ftp to stand in for another carrier")
				}
				k := open(t)
				apply(t, k, a)
				apply(t, k, b)
				inStep(t, k, b)
			})
		}
	}
}

// hasFTP reports whether the kernel has the conntrack helper ftp, which stands in for another carrier.
func hasFTP(t *testing.T) bool {
	t.Helper()
	err := exec.CommandContext(t.Context(), "nft", `-c`, `table inet probe { ct helper x { type "ftp" protocol tcp; }; }`).Run()
	return err == nil
}

func with(cfg *configs.Config, change func(*configs.Pool)) *configs.Config {
	for i := range cfg.Pools {
		change(&cfg.Pools[i])
	}
	return cfg
}

// A transaction that the kernel refuses changes nothing, and the error says what it refused.
func TestRefusedChangesNothing(t *testing.T) {
	k := open(t)
	want := build(farm(2))
	apply(t, k, want)
	bad := rules.Build(farm(3), rules.State{}, "no-such-helper")
	have, err := k.Read(bad)
	if err != nil {
		t.Fatal(err)
	}
	err = k.Commit(rules.Diff(have, bad))
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "ct helper ftp4") {
		t.Errorf("error %v does not name the object that cannot be", err)
	}
	inStep(t, k, want)
}

// A change by somebody else between reading and writing is noticed.
func TestChangedMeanwhile(t *testing.T) {
	k := open(t)
	want := build(farm(1))
	have, err := k.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	nft(t, "add table inet neighbour")
	defer nft(t, "delete table inet neighbour")
	if err := k.Commit(rules.Diff(have, want)); !errors.Is(err, ErrChanged) {
		t.Errorf("error is %v, want ErrChanged", err)
	}
	apply(t, k, want)
	inStep(t, k, want)
}

// Tables of others stay as they are, through everything.
func TestNeighboursStay(t *testing.T) {
	k := open(t)
	nft(t, "add table inet neighbour; add chain inet neighbour c { type filter hook input priority 0; policy drop; }")
	defer nft(t, "delete table inet neighbour")
	before := nft(t, "list table inet neighbour")
	apply(t, k, build(farm(2)))
	apply(t, k, build(farm(1)))
	if _, err := k.Flush(); err != nil {
		t.Fatal(err)
	}
	if after := nft(t, "list table inet neighbour"); after != before {
		t.Errorf("the neighbour's table was\n%s\nnow it is\n%s", before, after)
	}
}

func TestReadSlots(t *testing.T) {
	for _, pools := range []int{2, fewSets} { // by name, and from the list of all
		t.Run(fmt.Sprint(pools), func(t *testing.T) {
			k := open(t)
			want := build(farm(pools))
			if have, err := k.ReadSlots(want); err != nil || have != nil {
				t.Errorf("without a table: %v, %v", have, err)
			}
			apply(t, k, build(farm(pools-1)))
			have, err := k.ReadSlots(want)
			if err != nil {
				t.Fatal(err)
			}
			if len(have.Sets) != 2*(pools-1) { // and not those of the pool that is not there
				t.Errorf("%d sets, want the %d slot tables", len(have.Sets), 2*(pools-1))
			}
			if p := rules.SlotDiff(have, want); !p.Empty() {
				t.Errorf("slots differ:\n%s", p.Text())
			}
		})
	}
}

func TestWritten(t *testing.T) {
	k := open(t)
	apply(t, k, build(farm(1)))
	written := k.Written()
	if written < 2*251*20 { // two slot tables
		t.Errorf("%d bytes written for a whole table", written)
	}
	apply(t, k, build(farm(1)))
	if k.Written() != written {
		t.Errorf("an apply that changes nothing wrote %d bytes", k.Written()-written)
	}
}
