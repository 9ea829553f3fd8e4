package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpvip/configs"
)

// tiered is a configuration with the pools given as "name min fallback backend:tier...". A backend has IPv4; one
// whose name begins with d has both families.
func tiered(t *testing.T, pools ...string) *configs.Config {
	t.Helper()
	cfg := &configs.Config{VIPs: []configs.VIP{{
		Name: "ftp", Port: 21,
		Addrs: configs.Addrs{V4: netip.MustParseAddr("192.0.2.1"), V6: netip.MustParseAddr("2001:db8::1")},
	}}}
	last := 0
	for _, text := range pools {
		words := strings.Fields(text)
		p := configs.Pool{Name: words[0], Scheduler: configs.SourceHash}
		if _, err := fmt.Sscan(words[1], &p.MinMembers); err != nil {
			t.Fatal(err)
		}
		for _, w := range words[3:] {
			last++
			b := configs.Backend{Port: 21, Weight: 10}
			name, tier, _ := strings.Cut(w, ":")
			b.Name = name
			if _, err := fmt.Sscan(tier, &b.Tier); err != nil {
				t.Fatal(err)
			}
			b.Addrs.V4 = netip.AddrFrom4([4]byte{10, 0, 0, byte(last)})
			if strings.HasPrefix(name, "d") {
				b.Addrs.V6 = netip.MustParseAddr(fmt.Sprintf("fd00::%d", last))
			}
			p.Backends = append(p.Backends, b)
		}
		cfg.Pools = append(cfg.Pools, p)
	}
	for i, text := range pools {
		cfg.Pools[i].Fallback = cfg.Pool(strings.Fields(text)[2])
	}
	cfg.VIPs[0].Pool = &cfg.Pools[0]
	cfg.Link()
	return cfg
}

func TestServing(t *testing.T) {
	tests := []struct {
		name   string
		pools  []string
		down   string
		family configs.Family
		want   string // pool, tiers, members, quorum
	}{
		{"one tier", []string{"farm 1 - a:1 b:1"}, "", configs.IPv4, "farm 1-1 [a b] true"},
		{"the lowest tier with a member", []string{"farm 1 - c:3 a:1 b:2"}, "", configs.IPv4, "farm 1-1 [a] true"},
		{"the next one", []string{"farm 1 - c:3 a:1 b:2"}, "farm/a", configs.IPv4, "farm 2-2 [b] true"},
		{"and the next", []string{"farm 1 - c:3 a:1 b:2"}, "farm/a farm/b", configs.IPv4, "farm 3-3 [c] true"},
		{"tier 1 is enough", []string{"farm 2 - a:1 b:1 c:2"}, "", configs.IPv4, "farm 1-1 [a b] true"},
		{"tier 2 helps", []string{"farm 2 - a:1 b:1 c:2 e:3"}, "farm/a", configs.IPv4, "farm 1-2 [b c] true"},
		{"tier 3 helps", []string{"farm 2 - a:1 b:1 c:2 e:3"}, "farm/a farm/c", configs.IPv4, "farm 1-3 [b e] true"},
		{"all of a tier help", []string{"farm 2 - a:1 b:1 c:2 e:2"}, "farm/a", configs.IPv4, "farm 1-2 [b c e] true"},
		{"below quorum, no fallback", []string{"farm 2 - a:1 b:1"}, "farm/a", configs.IPv4, "farm 1-1 [b] false"},
		{"below quorum", []string{"farm 2 sorry a:1 b:1", "sorry 1 - s:1"}, "farm/a", configs.IPv4, "sorry 1-1 [s] true"},
		{"nobody", []string{"farm 1 sorry a:1 b:1", "sorry 1 - s:1"}, "farm/a farm/b", configs.IPv4, "sorry 1-1 [s] true"},
		{"tiers before the fallback", []string{"farm 1 sorry a:1 b:2", "sorry 1 - s:1"}, "farm/a", configs.IPv4, "farm 2-2 [b] true"},
		{"tiers of the fallback", []string{"farm 1 sorry a:1", "sorry 1 - s:1 t:2"}, "farm/a sorry/s", configs.IPv4, "sorry 2-2 [t] true"},
		{"fallback of the fallback", []string{"farm 1 one a:1", "one 1 two b:1", "two 1 - c:1"}, "farm/a one/b", configs.IPv4, "two 1-1 [c] true"},
		{"nowhere a quorum", []string{"farm 2 sorry a:1 b:1", "sorry 2 - s:1 t:1"}, "farm/a sorry/s", configs.IPv4, "farm 1-1 [b] false"},
		{"what is left is in the fallback", []string{"farm 2 sorry a:1 b:1", "sorry 2 - s:1 t:1"}, "farm/a farm/b sorry/s",
			configs.IPv4, "sorry 1-1 [t] false"},
		{"nothing is left", []string{"farm 1 sorry a:1", "sorry 1 - s:1"}, "farm/a sorry/s", configs.IPv4, "nobody"},
		{"nobody, no fallback", []string{"farm 1 - a:1"}, "farm/a", configs.IPv4, "nobody"},

		{"only those of the family count", []string{"farm 1 - a:1 d1:2"}, "", configs.IPv6, "farm 2-2 [d1] true"},
		{"a family has what it has", []string{"farm 2 sorry a:1 d1:1", "sorry 1 - d2:1"}, "", configs.IPv6, "farm 1-1 [d1] true"},
		{"one family falls back", []string{"farm 1 sorry a:1 d1:1", "sorry 1 - d2:1"}, "farm/d1", configs.IPv6, "sorry 1-1 [d2] true"},
		{"and the other does not", []string{"farm 1 sorry a:1 d1:1", "sorry 1 - d2:1"}, "farm/d1", configs.IPv4, "farm 1-1 [a] true"},
		{"a fallback of the other family", []string{"farm 1 sorry d1:1", "sorry 1 - a:1"}, "farm/d1", configs.IPv6, "nobody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tiered(t, tt.pools...)
			state := State{Down: map[configs.Ref]bool{}}
			for w := range strings.FieldsSeq(tt.down) {
				pool, backend, _ := strings.Cut(w, "/")
				state.Down[configs.Ref{Pool: pool, Backend: backend}] = true
			}
			sv := state.Serving(&cfg.Pools[0], tt.family)
			got := "nobody"
			if sv.Pool != nil {
				var names []string
				for _, b := range sv.Members {
					names = append(names, b.Name)
				}
				got = fmt.Sprintf("%s %d-%d %v %v", sv.Pool.Name, sv.Tiers[0], sv.Tiers[1], names, sv.Quorum)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			held := map[string]bool{}
			for _, e := range slotTable(&cfg.Pools[0], state, tt.family).Elements {
				held[SlotTarget(e).String()] = true
			}
			if len(held) != len(sv.Members) {
				t.Errorf("slots are held by %v, want %d members", held, len(sv.Members))
			}
			for _, b := range sv.Members {
				if at := netip.AddrPortFrom(b.Addrs.Of(tt.family), 21).String(); !held[at] {
					t.Errorf("%s holds no slot", at)
				}
			}
		})
	}
}

// A pool has slots enough for its fallback, and as many before and after that serves.
func TestPoolSlots(t *testing.T) {
	cfg := tiered(t, "farm 1 sorry a:1", "sorry 1 - s1:1 s2:1 s3:1 s4:1 s5:1 s6:1 s7:1 s8:1 s9:1 s10:1 s11:1 s12:1 s13:1")
	if n := PoolSlots(&cfg.Pools[0]); n != 1021 {
		t.Errorf("%d slots, want 1021", n)
	}
	if n := PoolSlots(&cfg.Pools[1]); n != 1021 {
		t.Errorf("%d slots, want 1021", n)
	}
}
