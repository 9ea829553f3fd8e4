package main

import "golang.org/x/sys/unix"

// The two ends of the connections.
type end bool

const (
	clientEnd  end = false
	backendEnd end = true
)

// pin keeps the calling thread on a processor of its own, as the ends have in reality, where each is a host. Without it
// the scheduler puts both on one processor in some rounds and on two in others, and a round trip takes twice as long
// in these as in those. Helpers go where they want. The caller has locked the thread, and calls undo before it unlocks
// it.
func pin(e end) (undo func()) {
	var all, one unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil || all.Count() < 2 {
		return func() {}
	}
	first, last := -1, -1
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			if first < 0 {
				first = cpu
			}
			last = cpu
		}
	}
	if e == clientEnd {
		one.Set(first)
	} else {
		one.Set(last)
	}
	_ = unix.SchedSetaffinity(0, &one) // where it is not allowed, the figures are only less steady
	return func() { _ = unix.SchedSetaffinity(0, &all) }
}
