package rules

import (
	"cmp"
	"hash/fnv"
	"slices"

	"ftpvip/configs"
)

// slotCounts are the sizes of slot tables: primes, so that every step of Maglev's permutation visits all slots.
var slotCounts = [...]int{251, 1021, 4093, 16381, 65521}

// slotsPerBackend is the least number of slots that a backend has on the average.
const slotsPerBackend = 20

// SlotCount returns the number of slots of a pool with so many configured backends. It does not depend on
// health, so a pool keeps its slots for life.
func SlotCount(backends int) int {
	for _, n := range slotCounts {
		if n >= backends*slotsPerBackend {
			return n
		}
	}
	return slotCounts[len(slotCounts)-1]
}

// candidate is one backend in the filling of a slot table.
type candidate struct {
	name    string
	id      uint64 // hash of the name; fill knows it
	weight  int    // the configured one
	base    bool   // it takes part in the table that names and configured weights alone decide
	member  bool
	now     int // the weight in force, a slow start left out
	percent int // of that weight, 1..100: how far a slow start has come
}

// fill gives each slot the index of a candidate. At least one of them is a member. All of it goes by name, so that
// boxes agree whose files name the same backends in another order.
func fill(scheduler configs.Scheduler, slots int, candidates []candidate) []int {
	order := make([]int, len(candidates))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(candidates[a].name, candidates[b].name) })
	byName := make([]candidate, len(candidates))
	for i, at := range order {
		byName[i] = candidates[at]
		byName[i].id = hash(byName[i].name)
	}
	var table []int
	if scheduler == configs.SourceHash {
		table = maglev(slots, byName)
		settle(table, byName)
		warmUp(table, byName)
	} else {
		table = interleave(slots, weights(byName))
	}
	for slot, who := range table {
		table[slot] = order[who]
	}
	return table
}

// weights are those of the candidates: 0 for one that is not a member.
func weights(candidates []candidate) []int {
	list := make([]int, len(candidates))
	for i, c := range candidates {
		if c.member {
			list[i] = c.now * c.percent
		}
	}
	return list
}

// interleave is smooth weighted round-robin: in each turn every candidate's credit grows by its weight, the one with the most
// credit gets the slot, and its credit drops by the sum of the weights. Shares are exact to one slot, without bursts.
func interleave(slots int, weights []int) []int {
	table := make([]int, slots)
	credit := make([]int, len(weights))
	total := 0
	for _, w := range weights {
		total += w
	}
	for slot := range table {
		best := -1
		for i, w := range weights {
			if w == 0 {
				continue
			}
			credit[i] += w
			if best < 0 || credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		table[slot] = best
	}
	return table
}

// maglev fills the table as in "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016, 3.4):
// every candidate has its own permutation of the slots and takes its next free one in turn. Weights are kept by
// quota: a turn goes to whoever is furthest behind its share. All base candidates take part, members or not: so the
// table depends on names and configured weights alone.
func maglev(slots int, candidates []candidate) []int {
	base := make([]int, len(candidates))
	for i, c := range candidates {
		if c.base {
			base[i] = c.weight
		}
	}
	table := slices.Repeat([]int{-1}, slots)
	next := make([]int, len(candidates))
	for _, who := range interleave(slots, base) {
		offset, skip := permutation(candidates[who].id, slots)
		for {
			slot := (offset + next[who]*skip) % slots
			next[who]++
			if table[slot] < 0 {
				table[slot] = who
				break
			}
		}
	}
	return table
}

// permutation returns offset and step of a backend's walk through the slots.
func permutation(h uint64, slots int) (offset, skip int) {
	n := uint64(slots)
	return int(h % n), int(mix(h)%(n-1)) + 1
}

// hash is a stable hash of a backend's name: FNV-1a, finished by a mixer since FNV alone spreads short names badly.
func hash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return mix(h.Sum64())
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
