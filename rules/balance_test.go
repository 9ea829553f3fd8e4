package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"

	"ftpvip/configs"
)

var schedulers = []configs.Scheduler{configs.SourceHash, configs.RoundRobin, configs.Random}

// anyFarm is a farm in any state, with a member at least.
func anyFarm(r *rand.Rand, n int) []candidate {
	list := farm(n, func(int) int { return 1 + r.IntN(100) })
	for i := range list {
		c := &list[i]
		c.member = r.IntN(4) > 0
		if r.IntN(3) == 0 {
			c.now = 1 + r.IntN(100)
		}
		if r.IntN(3) == 0 {
			c.percent = 10 * (1 + r.IntN(10))
		}
		c.base = r.IntN(5) > 0 || i == 0
	}
	list[r.IntN(n)].member = true
	return list
}

// moves counts the slots that two tables give to different backends: all of them, those that the second gives
// to a certain one, and those that the first has with a certain one.
func moves(before, after []int, to, from int) (all, thereof, leaving int) {
	for slot := range before {
		if before[slot] != after[slot] {
			all++
			if after[slot] == to {
				thereof++
			}
			if before[slot] == from {
				leaving++
			}
		}
	}
	return all, thereof, leaving
}

// total sums up the weights in force.
func total(candidates []candidate) int {
	sum := 0
	for _, w := range weights(candidates) {
		sum += w
	}
	return sum
}

// A share is within 5 % of the weight, for 251 slots and 10 backends, where a slot is no more than 5 % of it.
func TestSharesAreWithinFivePercent(t *testing.T) {
	const slots, n = 251, 10
	for _, scheduler := range schedulers {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 1))
			backends := farm(n, func(int) int { return 80 + r.IntN(21) })
			if seed == 0 {
				backends = farm(n, same)
			}
			if seed%2 == 1 { // by an admin
				for i := range backends {
					backends[i].weight = 1 + r.IntN(100)
				}
			}
			for i, got := range count(fill(scheduler, slots, backends), n) {
				want := float64(slots*backends[i].now*100) / float64(total(backends))
				if math.Abs(float64(got)-want)/want > 0.05 {
					t.Errorf("%s, seed %d: backend %d has %d slots, its weight is worth %.1f", scheduler, seed, i, got, want)
				}
			}
		}
	}
}

// Losing one of N moves at most 1/N + 3 % of the slots of the others, in whatever state the farm was.
func TestLosingOneMovesFew(t *testing.T) {
	worst := 0.0
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := 2 + r.IntN(11)
		backends := farm(n, func(int) int { return 10 + r.IntN(11)*int(seed%2) })
		if n > 3 && seed%3 == 0 {
			backends[r.IntN(n)].member = false // one was lost before
		}
		lost := r.IntN(n)
		if !backends[lost].member {
			continue
		}
		slots := SlotCount(n)
		before := fill(configs.SourceHash, slots, backends)
		backends[lost].member = false
		all, _, leaving := moves(before, fill(configs.SourceHash, slots, backends), -1, lost)
		members := 0
		for _, b := range backends {
			if b.member {
				members++
			}
		}
		part := float64(all-leaving) / float64(slots-leaving)
		worst = max(worst, part)
		if limit := 1/float64(members+1) + 0.03; part > limit {
			t.Errorf("seed %d: losing %d of %d backends moved %.1f %% of the others' slots", seed, lost, n, 100*part)
		}
	}
	t.Logf("at worst %.1f %% of the others' slots moved", 100*worst)
}

// The table depends on the state alone: not on the order of the file, nor on that of maps.
func TestOrderDoesNotMatter(t *testing.T) {
	same := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 3))
		backends := anyFarm(r, 1+r.IntN(12))
		for _, scheduler := range schedulers {
			names := func() string {
				var list []string
				for _, who := range fill(scheduler, 251, backends) {
					list = append(list, backends[who].name)
				}
				return fmt.Sprint(list)
			}
			before := names()
			r.Shuffle(len(backends), func(i, j int) { backends[i], backends[j] = backends[j], backends[i] })
			if names() != before {
				return false
			}
		}
		return true
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 200}); err != nil {
		t.Error(err)
	}
}

// An admin's weight is kept exactly, and no more slots move than that takes.
func TestWeightsInForce(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		backends := farm(10, func(int) int { return 1 + r.IntN(20) })
		before := fill(configs.SourceHash, 251, backends)
		for range 1 + r.IntN(3) {
			backends[r.IntN(10)].now = 1 + r.IntN(40)
		}
		after := fill(configs.SourceHash, 251, backends)
		all, _, _ := moves(before, after, -1, -1)
		least := 0
		held := count(after, 10)
		for i, had := range count(before, 10) {
			least += max(held[i]-had, 0)
			want := float64(251*backends[i].now*100) / float64(total(backends))
			if math.Abs(float64(held[i])-want) >= 1 {
				t.Errorf("seed %d: backend %d has %d slots, its weight is worth %.2f", seed, i, held[i], want)
			}
		}
		if all != least {
			t.Errorf("seed %d: %d slots moved, %d had to", seed, all, least)
		}
	}
}

// A backend of a higher tier that helps gets its share from those who are above theirs.
func TestHelpOfTheNextTier(t *testing.T) {
	backends := farm(3, same)
	backends[2].base = false
	before := fill(configs.SourceHash, 251, backends[:2])
	after := fill(configs.SourceHash, 251, backends)
	all, gained, _ := moves(before, after, 2, -1)
	if all != gained || gained < 83 || gained > 84 {
		t.Errorf("%d slots moved, %d to the one that helps, want 83 or 84", all, gained)
	}
}

// While a backend starts, slots move towards it only, and it has what its weight in force is worth.
func TestSlowStartMovesTowardsIt(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := 2 + r.IntN(11)
		backends := anyFarm(r, n)
		for i := range backends {
			backends[i].percent = 100
		}
		who := r.IntN(n)
		backends[who].member, backends[(who+1)%n].member = true, true
		slots := SlotCount(n)
		var before []int
		for percent := 1; percent <= 100; percent++ {
			backends[who].percent = percent
			after := fill(configs.SourceHash, slots, backends)
			if before != nil {
				if all, gained, _ := moves(before, after, who, -1); all != gained {
					t.Fatalf("seed %d, %d %%: %d slots moved, %d of them to the one that starts", seed, percent, all, gained)
				}
			}
			want := float64(slots*backends[who].now*percent) / float64(total(backends))
			if got := float64(count(after, n)[who]); math.Abs(got-want) > 1.5 && percent > 1 {
				t.Errorf("seed %d, %d %%: %v slots, want %.1f", seed, percent, got, want)
			}
			before = after
		}
	}
}

// Backends that start at the same time come to their shares together.
func TestSlowStartOfSeveral(t *testing.T) {
	for _, starting := range [][]int{{0, 1}, {0, 1, 2, 3, 4}} {
		backends := farm(5, same)
		var before []int
		for percent := 10; percent <= 100; percent += 10 {
			for _, i := range starting {
				backends[i].percent = percent
			}
			after := fill(configs.SourceHash, 251, backends)
			for i, got := range count(after, 5) {
				if want := float64(251*backends[i].percent*10) / float64(total(backends)); math.Abs(float64(got)-want) > 1.5 {
					t.Errorf("%v at %d %%: backend %d has %d slots, want %.1f", starting, percent, i, got, want)
				}
			}
			for slot := range before {
				if before[slot] != after[slot] && !slices.Contains(starting, after[slot]) {
					t.Errorf("%v at %d %%: slot %d moves from %d to %d", starting, percent, slot, before[slot], after[slot])
				}
			}
			before = after
		}
	}
}
