package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// pools is a farm of one VIP whose pool has two vsftpd, and beside it a pool of two pyftpdlib that no VIP names.
type pools struct {
	*farm
	own, spare *vip // one VIP, with the servers of the one pool or the other
}

// newPools builds it. Own is what the pool has besides its backends and its health, tiers are the backends'.
func newPools(t *testing.T, a arrangement, tiers [2]int, own string, health ...string) *pools {
	t.Helper()
	a.kinds = []server.Kind{server.VSFTPD, server.PyFTPDlib}
	f := newFarm(t, a)
	p := &pools{farm: f, own: f.vips[0], spare: &vip{Farm: f.vips[0].Farm, servers: f.vips[1].servers}}
	p.spare.Backends = f.vips[1].Backends
	for _, v := range []*vip{p.own, p.spare} {
		v.put(t, "file", content("file", fileSize))
	}
	f.configure(t, p.config(tiers, own, health))
	return p
}

// configure makes a configuration the one in force.
func (f *farm) configure(t *testing.T, text string) {
	t.Helper()
	must(t, f.ftpvip.Configure(text))
	f.do(t, "apply")
	_, err := f.helper.Stop(t.Context())
	must(t, err)
	f.startHelper(t)
}

func (p *pools) config(tiers [2]int, own string, health []string) string {
	var w strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	line("vips: [{name: ftp, addresses: %s, port: 21, pool: farm}]\npools:", lab.YAMLAddrs(p.own.VIP))
	pool := func(name, keys string, v *vip, tiers [2]int, health ...string) {
		line("- name: %s\n  snat: %s\n  health: {rise: %d, fall: %d, timeout: 2s%s}", name, cmp.Or(v.SNAT, "none"), rise, fall,
			strings.Join(append([]string{""}, health...), ", "))
		for key := range strings.SplitSeq(keys, ",") {
			line("  %s", strings.TrimSpace(key))
		}
		line("  backends:")
		for i, b := range v.Backends {
			line("  - {name: %s, addresses: %s, tier: %d}", b.Name, lab.YAMLAddrs(b.Addrs), tiers[i])
		}
	}
	pool("farm", own, p.own, tiers, health...)
	pool("sorry", "", p.spare, [2]int{1, 1})
	return w.String()
}

// die kills servers and has the health rounds notice. The last of them ends with status want.
func (p *pools) die(t *testing.T, want int, victims ...*server.Server) {
	t.Helper()
	for _, s := range victims {
		s.Kill()
	}
	p.health(t, fall-1)
	p.exits(t, want, "health")
	p.exits(t, 0, "diff")
}

// rise starts a server of the pool again and has the health rounds notice.
func (p *pools) rise(t *testing.T, i int) {
	t.Helper()
	old := p.own.servers[i]
	s, err := server.Start(t.Context(), p.Lab, old.Backend, server.VSFTPD, old.Name)
	must(t, err)
	p.own.servers[i] = s
	p.health(t, rise)
	p.exits(t, 0, "diff")
}

// serve fails the test where a client does not land on one of the servers, and tells how many land on each.
func (p *pools) serve(t *testing.T, servers ...*server.Server) map[string]int {
	t.Helper()
	used := map[string]int{}
	for from, name := range p.landings(t, p.own) {
		used[name]++
		ok := false
		for _, s := range servers {
			ok = ok || s.Name == name
		}
		if !ok {
			t.Errorf("%s lands on %s", from, name)
		}
	}
	return used
}

// transfer moves files in every mode through the VIP, to servers of v.
func (p *pools) transfer(t *testing.T, v *vip) {
	t.Helper()
	lab.Require(t, client.Curl.Needs()...)
	for _, family := range configs.Families {
		for _, mode := range client.Curl.Modes(family) {
			t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) {
				testOperations(t, p.farm, v, client.Curl, mode, family)
			})
		}
	}
}

func (p *pools) status(t *testing.T) string { t.Helper(); return p.do(t, "status").Stdout }

// says fails the test where the status lacks a text.
func (p *pools) says(t *testing.T, texts ...string) {
	t.Helper()
	status := p.status(t)
	for _, text := range texts {
		if !strings.Contains(status, text) {
			t.Errorf("the status lacks %q:\n%s", text, status)
		}
	}
}

// TestTiers: tier 2 serves while tier 1 is down, and no longer.
func TestTiers(t *testing.T) {
	p := newPools(t, arrangement{clients: 4}, [2]int{1, 2}, "slow_start: 0s")
	first, second := p.own.servers[0], p.own.servers[1]
	p.serve(t, first)
	p.die(t, 0, first)
	p.serve(t, second)
	p.says(t, "tier 2 serves")
	t.Run("transfers", func(t *testing.T) { p.transfer(t, &vip{Farm: p.own.Farm, servers: p.own.servers[1:]}) })
	p.rise(t, 0)
	p.serve(t, first)
}

// TestFallback: the fallback serves while the pool has nobody, in both arms, with transfers in every mode.
func TestFallback(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			p := newPools(t, arrangement{arm: arm.arm, snat: arm.snat, clients: 4}, [2]int{1, 1}, "fallback: sorry")
			p.serve(t, p.own.servers...)
			p.die(t, 1, p.own.servers...) // status 1: a pool has no member
			p.serve(t, p.spare.servers...)
			p.says(t, "fallback sorry serves", "NO QUORUM")
			t.Run("transfers", func(t *testing.T) { p.transfer(t, p.spare) })
			p.rise(t, 0)
			p.serve(t, p.own.servers[0])
			p.rise(t, 1)
			p.serve(t, p.own.servers...)
			t.Run("transfers again", func(t *testing.T) { p.transfer(t, p.own) })
		})
	}
}

// TestQuorum: one of two is too few where two are asked for.
func TestQuorum(t *testing.T) {
	p := newPools(t, arrangement{clients: 2}, [2]int{1, 1}, "fallback: sorry, min_members: 2")
	p.serve(t, p.own.servers...)
	p.die(t, 0, p.own.servers[0])
	p.serve(t, p.spare.servers...)
	p.rise(t, 0)
	p.serve(t, p.own.servers...)
}

// slots tells how many IPv4 slots a backend of the pool has.
func (p *pools) slots(t *testing.T, i int) int {
	t.Helper()
	var s struct {
		VIPs []struct {
			Backends []struct {
				Slots4 int `json:"slots4"`
			} `json:"backends"`
		} `json:"vips"`
	}
	must(t, json.Unmarshal([]byte(p.do(t, "status", "-o", "json").Stdout), &s))
	return s.VIPs[0].Backends[i].Slots4
}

// TestSlowStart: a server that comes back gets a tenth of its weight, then more, then all.
func TestSlowStart(t *testing.T) {
	const slowStart, sessions = 15 * time.Second, 33
	for _, scheduler := range []string{"source-hash", "round-robin"} {
		t.Run(scheduler, func(t *testing.T) {
			p := newPools(t, arrangement{}, [2]int{1, 1}, "slow_start: 15s, scheduler: "+scheduler)
			p.health(t, 1)
			whole := p.slots(t, 0)
			if whole < 125 {
				t.Fatalf("%d slots on a first round: a server that was never down starts at once", whole)
			}
			p.die(t, 0, p.own.servers[0])
			began := time.Now()
			p.rise(t, 0)
			if n := p.slots(t, 0); n < 22 || n > 24 { // 1 of 11
				t.Errorf("%d slots at first", n)
			}
			p.says(t, "slow start: 10 % of its weight")
			if scheduler == "round-robin" {
				used := map[string]int{}
				for range sessions {
					used[p.landing(t, p.own, p.ClientAddrs[0].V4)]++
				}
				if n := used[p.own.servers[0].Name]; n < sessions/11-1 || n > sessions/11+1 {
					t.Errorf("of %d sessions it gets %d at first", sessions, n)
				}
			}
			last, steps := p.slots(t, 0), 0
			for last < whole {
				if time.Since(began) > 4*slowStart {
					t.Fatalf("%d slots after %v", last, time.Since(began))
				}
				time.Sleep(slowStart / 8)
				p.health(t, 1)
				p.exits(t, 0, "diff")
				n := p.slots(t, 0)
				if n < last {
					t.Errorf("from %d slots down to %d", last, n)
				}
				if n > last {
					steps++
				}
				last = n
			}
			if time.Since(began) < slowStart || last != whole || steps < 2 {
				t.Errorf("%d slots after %v and %d steps, before it were %d", last, time.Since(began), steps, whole)
			}
		})
	}
}

// TestSlowStartAfterDrain: a server that an admin lets in again gets its weight as slowly as one that was down.
func TestSlowStartAfterDrain(t *testing.T) {
	p := newPools(t, arrangement{}, [2]int{1, 1}, "slow_start: 15s")
	ref := "farm/" + p.own.Backends[0].Name
	p.health(t, 1)
	whole := p.slots(t, 0)
	p.do(t, "drain", ref)
	p.health(t, 1)
	if n := p.slots(t, 0); n != 0 {
		t.Fatalf("%d slots while drained", n)
	}
	began := time.Now()
	p.do(t, "enable", ref)
	check := func(when string) {
		t.Helper()
		p.exits(t, 0, "diff")
		if n := p.slots(t, 0); n < 22 || n > 24 { // 1 of 11
			t.Errorf("%d slots %s, of %d", n, when, whole)
		}
		p.says(t, "slow start: 10 % of its weight")
	}
	check("at once")
	p.health(t, 1)
	check("at the first round")
	for n := 0; n < whole; n = p.slots(t, 0) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d slots after %v, before it were %d", n, time.Since(began), whole)
		}
		time.Sleep(time.Second)
		p.health(t, 1)
	}
	if took := time.Since(began); took < 15*time.Second {
		t.Errorf("it has all its slots after %v", took)
	}
}

// TestAffinity: a client stays, whatever the scheduler says, until its server dies; and then where it went to.
func TestAffinity(t *testing.T) {
	for _, tt := range []struct{ scheduler, through string }{
		{"round-robin", "backend"}, {"random", "backend"}, {"round-robin", "vip"},
	} {
		t.Run(tt.scheduler+", checked through "+tt.through, func(t *testing.T) {
			p := newPools(t, arrangement{clients: 8}, [2]int{1, 1}, "affinity: 1h, fallback: sorry, scheduler: "+tt.scheduler,
				"through: "+tt.through)
			p.health(t, 1)
			first := p.landings(t, p.own)
			for range 3 {
				p.same(t, first, p.landings(t, p.own))
			}
			used := p.serve(t, p.own.servers...)
			if len(used) != 2 {
				t.Errorf("all clients are on one server: %v", used)
			}
			p.says(t, fmt.Sprintf("%d clients remembered", 2*len(p.ClientAddrs)))
			before := p.generation(t)
			p.do(t, "apply")
			p.health(t, 1)
			p.exits(t, 0, "diff")
			if n := p.generation(t) - before; n != 0 {
				t.Errorf("an apply and a round that find nothing new made %d transactions", n)
			}
			p.same(t, first, p.landings(t, p.own))

			victim, survivor := p.own.servers[0], p.own.servers[1]
			p.die(t, 0, victim)
			p.says(t, fmt.Sprintf("%d clients remembered", used[survivor.Name]))
			moved := p.landings(t, p.own)
			for from, name := range moved {
				if name != survivor.Name {
					t.Errorf("%s lands on %s, which is dead or a fallback", from, name)
				}
			}
			p.rise(t, 0)
			p.same(t, moved, p.landings(t, p.own)) // nobody goes back

			// The fallback's clients go back to the pool as soon as it serves.
			p.die(t, 1, p.own.servers...)
			p.serve(t, p.spare.servers...)
			p.rise(t, 0)
			p.serve(t, p.own.servers[0])
		})
	}
}

// same fails the test where a client lands elsewhere than before.
func (p *pools) same(t *testing.T, before, now map[netip.Addr]string) {
	t.Helper()
	for from, name := range now {
		if name != before[from] {
			t.Errorf("%s lands on %s, before it was %s", from, name, before[from])
		}
	}
}
