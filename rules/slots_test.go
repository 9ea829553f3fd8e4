package rules

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

func farm(n int, weight func(i int) int) []candidate {
	list := make([]candidate, n)
	for i := range list {
		list[i] = fit(fmt.Sprintf("ftp%d", i), weight(i))
	}
	return list
}

// fit is a backend with nothing special to it.
func fit(name string, weight int) candidate {
	return candidate{name: name, weight: weight, base: true, member: true, now: weight, percent: 100}
}

func same(int) int { return 10 }

func count(table []int, n int) []int {
	counts := make([]int, n)
	for _, who := range table {
		if who >= 0 {
			counts[who]++
		}
	}
	return counts
}

func TestSlotCount(t *testing.T) {
	tests := []struct{ backends, slots int }{
		{0, 251},
		{1, 251},
		{12, 251},
		{13, 1021},
		{51, 1021},
		{52, 4093},
		{204, 4093},
		{205, 16381},
		{819, 16381},
		{820, 65521},
		{configs.MaxBackends, 65521},
	}
	for _, tt := range tests {
		if got := SlotCount(tt.backends); got != tt.slots {
			t.Errorf("SlotCount(%d) = %d, want %d", tt.backends, got, tt.slots)
		}
	}
}

// Every scheduler shares slots by weight: within one slot for those who deal them out in turn, within rounding
// for the others.
func TestShares(t *testing.T) {
	weights := map[string]func(int) int{
		"equal":   same,
		"rising":  func(i int) int { return i + 1 },
		"extreme": func(i int) int { return 1 + 99*(i%2) },
	}
	for _, scheduler := range []configs.Scheduler{configs.SourceHash, configs.RoundRobin, configs.Random} {
		for name, weight := range weights {
			for _, n := range []int{1, 2, 3, 7, 10, 12} {
				t.Run(fmt.Sprintf("%s/%s/%d", scheduler, name, n), func(t *testing.T) {
					backends := farm(n, weight)
					slots := SlotCount(n)
					total := 0
					for _, b := range backends {
						total += b.weight
					}
					for i, got := range count(fill(scheduler, slots, backends), n) {
						want := float64(slots*backends[i].weight) / float64(total)
						if math.Abs(float64(got)-want) > 1 {
							t.Errorf("backend %d of weight %d has %d slots, its share is %.1f", i, backends[i].weight, got, want)
						}
					}
				})
			}
		}
	}
}

// Losing a backend moves the slots of nobody else, and they are shared out by weight.
func TestSourceHashLosesOne(t *testing.T) {
	for _, n := range []int{2, 3, 10, 50, 200} {
		for lost := range min(n, 12) {
			backends := farm(n, same)
			slots := SlotCount(n)
			before := fill(configs.SourceHash, slots, backends)
			backends[lost].member = false
			after := fill(configs.SourceHash, slots, backends)
			for slot := range after {
				if before[slot] != lost && after[slot] != before[slot] {
					t.Fatalf("%d backends, %d lost: slot %d moved from %d to %d", n, lost, slot, before[slot], after[slot])
				}
				if after[slot] == lost || after[slot] < 0 {
					t.Fatalf("%d backends, %d lost: slot %d has %d", n, lost, slot, after[slot])
				}
			}
			for i, got := range count(after, n) {
				if want := float64(slots) / float64(n-1); i != lost && math.Abs(float64(got)-want) > 1.01 {
					t.Errorf("%d backends, %d lost: backend %d has %d slots, its share is %.1f", n, lost, i, got, want)
				}
			}
		}
	}
}

// The table depends on names and weights alone: not on the order of the file, not on history.
func TestSourceHashIsStable(t *testing.T) {
	backends := farm(10, func(i int) int { return 1 + i%3 })
	names := func() []string {
		var list []string
		for _, who := range fill(configs.SourceHash, 251, backends) {
			list = append(list, backends[who].name)
		}
		return list
	}
	before := names()
	backends[3].member = false
	names()
	backends[3].member = true
	if d := cmp.Diff(before, names()); d != "" {
		t.Errorf("a backend went and came back (-before +after)\n%s", d)
	}
	slices.Reverse(backends)
	if d := cmp.Diff(before, names()); d != "" {
		t.Errorf("the file names them in reverse (-before +after)\n%s", d)
	}
}

// Boxes behind one router have to agree, also across versions: these numbers may never change.
func TestSourceHashIsForEver(t *testing.T) {
	table := fill(configs.SourceHash, 251, []candidate{fit("ftp1", 10), fit("ftp2", 20), fit("ftp3", 10)})
	got := fmt.Sprint(table[:24])
	const want = "[1 0 1 1 1 2 0 1 1 1 2 0 1 2 0 2 1 0 1 1 0 2 2 0]"
	if got != want {
		t.Errorf("first slots are\n%s, want\n%s", got, want)
	}
}

// Round-robin serves nobody in bursts: with weights 3 and 1, ftp2 comes every fourth time.
func TestRoundRobinInterleaves(t *testing.T) {
	table := fill(configs.RoundRobin, 8, []candidate{fit("ftp1", 30), fit("ftp2", 10)})
	if got, want := fmt.Sprint(table), "[0 0 1 0 0 0 1 0]"; got != want {
		t.Errorf("table is %s, want %s", got, want)
	}
}

func FuzzFill(f *testing.F) {
	f.Add(uint8(3), uint16(0b101), uint8(7), uint16(0), uint8(100))
	f.Add(uint8(12), uint16(0xffff), uint8(1), uint16(0b11), uint8(10))
	f.Fuzz(func(t *testing.T, n uint8, members uint16, weights uint8, starting uint16, percent uint8) {
		backends := farm(int(n%13), func(i int) int { return 1 + (i*int(weights))%100 })
		any := false
		for i := range backends {
			backends[i].member = members>>(i%16)&1 == 1
			any = any || backends[i].member
			if starting>>(i%16)&1 == 1 {
				backends[i].percent = 1 + int(percent)%100
			}
		}
		if !any {
			return
		}
		for _, scheduler := range []configs.Scheduler{configs.SourceHash, configs.RoundRobin} {
			for slot, who := range fill(scheduler, 251, backends) {
				if !backends[who].member {
					t.Fatalf("%s: slot %d has %d", scheduler, slot, who)
				}
			}
		}
	})
}

func BenchmarkFill(b *testing.B) {
	backends := farm(10, same)
	backends[4].member = false
	b.ReportAllocs()
	for b.Loop() {
		fill(configs.SourceHash, 251, backends)
	}
}
