package nfqueue

import "testing"

// TestFigures: what the kernel dropped is found by the gaps in its numbers, also where they begin anew.
func TestFigures(t *testing.T) {
	q := &Queue{}
	for _, id := range []uint32{1, 2, 5} {
		q.count.came(id)
	}
	q.count.judged.Add(2)
	if got, want := q.Figures(), (Figures{Packets: 5, Lost: 2, Waiting: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	q.count.last.Store(1<<32 - 2)
	q.count.came(1)
	if got := q.Figures(); got.Lost != 4 || got.Packets != 1 {
		t.Errorf("where the numbers begin anew: %+v", got)
	}
}
