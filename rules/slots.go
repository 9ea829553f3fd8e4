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
	name   string
	weight int
	member bool
}

// fill gives each slot the index of a candidate, or -1 where nobody is a member.
func fill(scheduler configs.Scheduler, slots int, candidates []candidate) []int {
	if !slices.ContainsFunc(candidates, func(c candidate) bool { return c.member }) {
		return slices.Repeat([]int{-1}, slots)
	}
	if scheduler == configs.SourceHash {
		return refill(maglev(slots, candidates), candidates)
	}
	return interleave(slots, candidates)
}

// interleave is smooth weighted round-robin: each turn everybody earns its weight, the richest member gets the
// slot and pays the sum of the weights. Shares are exact to one slot, and nobody is served in bursts.
func interleave(slots int, candidates []candidate) []int {
	table := make([]int, slots)
	credit := make([]int, len(candidates))
	total := 0
	for _, c := range candidates {
		if c.member {
			total += c.weight
		}
	}
	for slot := range table {
		best := -1
		for i, c := range candidates {
			if !c.member {
				continue
			}
			credit[i] += c.weight
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
// quota: a turn goes to whoever is furthest behind its share. All candidates take part, members or not, and the
// turns go by name: so the table depends on names and weights alone, and boxes with the same backends agree.
func maglev(slots int, candidates []candidate) []int {
	byName := make([]int, len(candidates))
	for i := range byName {
		byName[i] = i
	}
	slices.SortFunc(byName, func(a, b int) int { return cmp.Compare(candidates[a].name, candidates[b].name) })
	everybody := make([]candidate, len(candidates))
	for turn, i := range byName {
		everybody[turn] = candidate{weight: candidates[i].weight, member: true}
	}
	table := slices.Repeat([]int{-1}, slots)
	next := make([]int, len(candidates))
	for _, turn := range interleave(slots, everybody) {
		who := byName[turn]
		offset, skip := permutation(candidates[who].name, slots)
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

// refill hands the slots of those who are no members to the members, each as much as its share lacks. Slots of
// members stay: losing a backend moves nobody else's clients.
func refill(table []int, candidates []candidate) []int {
	lack := shares(len(table), candidates)
	for _, who := range table {
		if candidates[who].member {
			lack[who]--
		}
	}
	for slot, who := range table {
		if candidates[who].member {
			continue
		}
		heir := -1
		var best uint64
		for i, c := range candidates {
			if !c.member || lack[i] <= 0 {
				continue
			}
			if score := mix(hash(c.name) ^ uint64(slot)); heir < 0 || score > best {
				heir, best = i, score
			}
		}
		table[slot] = heir
		lack[heir]--
	}
	return table
}

// shares apportions the slots to the members by weight, by largest remainder; the sum is always all slots.
// A member's share never is below what it has in the full table by more than the rounding, and then the
// others' shares make up for it: the lacks sum to at least the number of free slots.
func shares(slots int, candidates []candidate) []int {
	total := 0
	for _, c := range candidates {
		if c.member {
			total += c.weight
		}
	}
	share := make([]int, len(candidates))
	order := make([]int, 0, len(candidates))
	left := slots
	for i, c := range candidates {
		if c.member {
			share[i] = slots * c.weight / total
			left -= share[i]
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(slots*candidates[b].weight%total, slots*candidates[a].weight%total)
	})
	for _, i := range order[:left] {
		share[i]++
	}
	return share
}

// permutation returns offset and step of a backend's walk through the slots.
func permutation(name string, slots int) (offset, skip int) {
	h := hash(name)
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
