package judge

import (
	"time"

	"ftpvip/configs"
)

// Judge returns the state that follows prev when r is seen at now.
//
//	unknown  -- 1 success -->        up     it is a member already, so there is nothing to wait for
//	unknown  -- fall failures -->    down   one bad moment at boot must not empty a farm
//	up       -- fall failures -->    down
//	down     -- rise successes -->   up
//
// The failures and successes are in a row: one result of the other kind sets the count back to zero. As in
// keepalived, a backend starts in service; as in haproxy, rise and fall of less than 1 count as 1. An
// inconclusive result changes nothing. A backend that changes more often than h.Flap allows is held down.
func Judge(prev State, r Result, h configs.Health, now time.Time) (State, Transition) {
	if r.Inconclusive() {
		return prev, Transition{}
	}
	next := prev
	next.Checked = now
	next.Last = NewOutcome(r)
	next.Rise, next.Fall = 0, 0
	if !now.Before(prev.Held) || h.Flap == (configs.Flap{}) {
		next.Held = time.Time{}
	}
	switch {
	case r.OK() && prev.Status == Down:
		next.Rise = min(prev.Rise+1, max(h.Rise, 1))
		if next.Rise >= h.Rise && next.Held.IsZero() {
			next.Status = Up
		}
	case r.OK():
		next.Status = Up
	case prev.Status != Down:
		next.Fall = prev.Fall + 1
		if next.Fall >= h.Fall {
			next.Status = Down
		}
	}
	if next.Status == prev.Status {
		return next, Transition{}
	}
	if prev.Status != Unknown {
		next.dampen(h.Flap, now)
	}
	next.Rise, next.Fall = 0, 0
	if next.Status == prev.Status { // held where it was
		return next, Transition{}
	}
	next.Since = now
	next.Returned = prev.Status == Down
	return next, Transition{From: prev.Status, To: next.Status}
}

// dampen notes a change of status. With one too many within the window, the backend is down for as long as the window.
func (s *State) dampen(flap configs.Flap, now time.Time) {
	if flap == (configs.Flap{}) {
		s.Changes = nil
		return
	}
	recent := make([]time.Time, 0, len(s.Changes)+1) // never written to in place: the state before has it too
	for _, t := range s.Changes {
		if t.After(now.Add(-flap.Window)) {
			recent = append(recent, t)
		}
	}
	recent = append(recent, now)
	s.Changes = recent
	if len(s.Changes) > flap.Changes {
		s.Status, s.Held, s.Changes = Down, now.Add(flap.Window), nil
	}
}
