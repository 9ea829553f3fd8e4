package health

import (
	"fmt"
	"time"

	"ftpvip/configs"
)

// Status is the judgement on a backend.
type Status uint8

// The statuses. Unknown is the zero value: a backend that no check has judged yet.
const (
	Unknown Status = iota
	Up
	Down
)

var statusNames = [...]string{Unknown: "unknown", Up: "up", Down: "down"}

// String returns "unknown", "up" or "down".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) {
	if int(s) >= len(statusNames) {
		return nil, fmt.Errorf("no such status: %d", uint8(s))
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Status) UnmarshalText(b []byte) error {
	for i, name := range statusNames {
		if name == string(b) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("no such status: %q", b)
}

// State is what is remembered of one backend between rounds. The zero value is a backend never seen before.
type State struct {
	Status  Status    `json:"status"`
	Since   time.Time `json:"since,omitzero"`   // when Status began; zero while no check has judged
	Rise    int       `json:"rise"`             // successes in a row while down; 0 otherwise
	Fall    int       `json:"fall"`             // failures in a row while not down; 0 otherwise
	Checked time.Time `json:"checked,omitzero"` // when a conclusive result last came
	Last    Outcome   `json:"last"`             // that result

	Returned bool `json:"returned,omitzero"` // it is up and was down before: its slow start began at Since
	Out      bool `json:"out,omitzero"`      // an admin had taken it out at the last round

	Readmitted time.Time `json:"readmitted,omitzero"` // when the round came that saw it no longer taken out: a slow start began

	Changes []time.Time `json:"changes,omitempty"`   // of status, within the window of flap
	Held    time.Time   `json:"held_until,omitzero"` // down until then whatever the checks say, because it flapped
	Kept    bool        `json:"kept,omitzero"`       // down, and a member all the same: nobody else is left
}

// Outcome is a Result in the form that is kept and shown.
type Outcome struct {
	OK        bool    `json:"ok"`
	Step      Step    `json:"step,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	LatencyMS float64 `json:"latency_ms"` // milliseconds
}

// Member tells whether health lets the backend hold slots. Every backend that is not judged down may.
func (s State) Member() bool { return s.Status != Down || s.Kept }

// Transition is a change of status. The zero value is no change.
type Transition struct {
	From Status `json:"from"`
	To   Status `json:"to"`
}

// Changed tells whether there was a change.
func (t Transition) Changed() bool { return t.From != t.To }

// String returns "up -> down", or "" for no change.
func (t Transition) String() string {
	if !t.Changed() {
		return ""
	}
	return t.From.String() + " -> " + t.To.String()
}

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
	next.Last = outcome(r)
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

// outcome returns the form of r that is kept.
func outcome(r Result) Outcome {
	return Outcome{OK: r.OK(), Step: r.Step, Reason: r.Reason, LatencyMS: millis(r.Took)}
}

// result is the opposite, without the cause.
func (o Outcome) result() Result {
	return Result{Step: o.Step, Reason: o.Reason, Took: time.Duration(o.LatencyMS * float64(time.Millisecond))}
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
