package judge

import (
	"fmt"
	"time"
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

// Member reports whether health lets the backend hold slots. Every backend that is not judged down may.
func (s State) Member() bool { return s.Status != Down || s.Kept }

// Transition is a change of status. The zero value is no change.
type Transition struct {
	From Status `json:"from"`
	To   Status `json:"to"`
}

// Changed reports whether there was a change.
func (t Transition) Changed() bool { return t.From != t.To }

// String returns "up -> down", or "" for no change.
func (t Transition) String() string {
	if !t.Changed() {
		return ""
	}
	return t.From.String() + " -> " + t.To.String()
}
