package e2e

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

// TestSchedulers looks at where sessions land.
func TestSchedulers(t *testing.T) {
	const clients, sessions = 8, 20
	t.Run("source-hash", func(t *testing.T) {
		f := newFarm(t, arrangement{scheduler: "source-hash", clients: clients})
		first := f.landings(t, f.vips[0])
		if diff := cmp.Diff(first, f.landings(t, f.vips[0]), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("clients do not keep their server: -first +second\n%s", diff)
		}
		used := map[string]int{}
		for _, name := range first {
			used[name]++
		}
		if len(used) != 2 {
			t.Errorf("%d clients use only %v", len(first), used)
		}
	})
	for _, scheduler := range []string{"round-robin", "random"} {
		t.Run(scheduler, func(t *testing.T) {
			f := newFarm(t, arrangement{scheduler: scheduler})
			for _, family := range configs.Families {
				used := map[string]int{}
				for range sessions {
					used[f.landing(t, f.vips[0], f.ClientAddrs[0].Of(family))]++
				}
				least := 1 // of 20 at random: a miss once in 500,000 runs
				if scheduler == "round-robin" {
					least = sessions/2 - 1 // slots are an odd number
				}
				for _, s := range f.vips[0].servers {
					if used[s.Name] < least {
						t.Errorf("IPv%d: %v, want at least %d each", family, used, least)
					}
				}
			}
		})
	}
}
