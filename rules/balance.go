package rules

import (
	"cmp"
	"slices"
)

// settle turns the base table into one of members only, by their weights in force, with as few moves as possible. A backend that
// is not a member gives up all its slots, a member those above its share; backends below their share get them, each slot by
// rendezvous hashing. If all members have their configured weights, none gives up a slot because of rounding: losing a backend
// moves only its own clients.
func settle(table []int, candidates []candidate) {
	lack := shares(len(table), candidates)
	held := holdings(table, len(candidates))
	exact := false
	for i, c := range candidates {
		lack[i] -= len(held[i])
		exact = exact || c.member && (c.now != c.weight || !c.base)
	}
	var free []int
	for i, c := range candidates {
		switch {
		case !c.member:
			free = append(free, held[i]...)
		case exact && lack[i] < 0:
			free = append(free, inOrder(c.id, held[i])[:-lack[i]]...)
		}
	}
	slices.Sort(free)
	for _, slot := range free {
		heir := -1
		var best uint64
		for i, c := range candidates {
			if !c.member || lack[i] <= 0 {
				continue
			}
			if score := score(c.id, slot); heir < 0 || score > best {
				heir, best = i, score
			}
		}
		table[slot] = heir
		lack[heir]--
	}
}

// warmUp takes slots from the backends in slow start, so that each keeps the part that its weight in force allows. Each backend
// gives its slots away in a fixed order, and the receiver of a slot depends only on earlier ones: so during a slow start, slots
// move only to that backend.
func warmUp(table []int, candidates []candidate) {
	top := 0 // after an outage everybody starts: then the furthest count as started
	for _, c := range candidates {
		if c.member {
			top = max(top, c.percent)
		}
	}
	type given struct {
		slot, from int
		at         float64 // 0..1, the first to go and the last to come back first
	}
	var all []given
	held := holdings(table, len(candidates))
	total := 0
	for _, w := range weights(candidates) {
		total += w
	}
	for i, c := range candidates {
		if !c.member || c.percent == top {
			continue
		}
		keep := max((2*len(table)*c.now*c.percent+total)/(2*total), 1) // its share, rounded
		for k, slot := range inOrder(c.id, held[i])[:max(len(held[i])-keep, 0)] {
			all = append(all, given{slot, i, float64(k) / float64(len(held[i]))})
		}
	}
	slices.SortFunc(all, func(a, b given) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.from, b.from))
	})
	count := make([]int, len(candidates))
	for i := range held {
		count[i] = len(held[i])
	}
	for _, g := range all {
		heir := -1
		for i, c := range candidates {
			if c.member && c.percent == top && (heir < 0 || poorer(count, candidates, g.slot, i, heir)) {
				heir = i
			}
		}
		table[g.slot] = heir
		count[heir]++
	}
}

// poorer reports whether candidate i gets the next slot rather than j: the one with less for its weight (Sainte-Laguë's
// divisors), by rendezvous hashing among equals.
func poorer(count []int, candidates []candidate, slot, i, j int) bool {
	a, b := (2*count[i]+1)*candidates[j].now, (2*count[j]+1)*candidates[i].now
	if a != b {
		return a < b
	}
	return score(candidates[i].id, slot) > score(candidates[j].id, slot)
}

// holdings lists the slots of each candidate.
func holdings(table []int, candidates int) [][]int {
	held := make([][]int, candidates)
	for slot, who := range table {
		held[who] = append(held[who], slot)
	}
	return held
}

// inOrder is the order in which a backend gives up slots, the same on every box.
func inOrder(id uint64, held []int) []int {
	order := slices.Clone(held)
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score(id, a), score(id, b)) })
	return order
}

// score is the score of a backend for a slot in rendezvous hashing.
func score(id uint64, slot int) uint64 { return mix(id ^ uint64(slot)) }

// shares apportions the slots to the members by weight in force, by largest remainder; the sum is always all
// slots.
// A member's share never is below what it has in the full table by more than the rounding, and then the
// others' shares make up for it: the lacks sum to at least the number of free slots.
func shares(slots int, candidates []candidate) []int {
	total := 0
	for _, c := range candidates {
		if c.member {
			total += c.now
		}
	}
	share := make([]int, len(candidates))
	var order []int
	left := slots
	for i, c := range candidates {
		if c.member {
			share[i] = slots * c.now / total
			left -= share[i]
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(slots*candidates[b].now%total, slots*candidates[a].now%total), cmp.Compare(a, b))
	})
	for _, i := range order[:left] {
		share[i]++
	}
	return share
}
