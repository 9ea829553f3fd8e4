package judge

import (
	"time"

	"ftpvip/configs"
)

// Schedule says when each backend is to be looked at next. The zero value is of no use: random has to be set.
type Schedule struct {
	Random func() float64 // 0 or more, less than 1

	next map[configs.Ref]time.Time
}

// Due lists the backends that are to be looked at by now; they are not due again until Done. A backend that was never
// looked at is due at once. soonest is when the next one is due; zero where none is.
func (s *Schedule) Due(cfg *configs.Config, now time.Time, busy map[configs.Ref]bool) (due map[configs.Ref]bool, soonest time.Time) {
	due = make(map[configs.Ref]bool)
	known := make(map[configs.Ref]time.Time, len(s.next))
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			at := s.next[ref]
			known[ref] = at
			switch {
			case busy[ref]:
			case !at.After(now):
				due[ref] = true
			case soonest.IsZero() || at.Before(soonest):
				soonest = at
			}
		}
	}
	s.next = known // those that left the configuration are forgotten
	return due, soonest
}

// Done notes that a look at a backend began at a time: the next one comes an interval later, some percent sooner or
// later.
func (s *Schedule) Done(ref configs.Ref, h configs.Health, status Status, began time.Time) {
	interval := h.Interval
	if status == Down {
		interval = h.IntervalDown
	}
	shift := float64(h.Jitter) / 100 * (2*s.Random() - 1)
	if s.next == nil {
		s.next = make(map[configs.Ref]time.Time)
	}
	s.next[ref] = began.Add(interval + time.Duration(shift*float64(interval)))
}
