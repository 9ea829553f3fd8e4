package health

import (
	"fmt"
	"slices"
	"time"

	"ftpvip/configs"
)

// Event is a change of one backend, a line of the history.
type Event struct {
	Time    time.Time `json:"time"`
	Pool    string    `json:"pool"`
	Backend string    `json:"backend"`
	From    Status    `json:"from"`
	To      Status    `json:"to"`
	Step    Step      `json:"step,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Held    time.Time `json:"held_until,omitzero"` // it flapped, and is down until then
	Admin   string    `json:"admin,omitempty"`     // an admin has taken it out, so nobody is told
	Did     []string  `json:"did,omitempty"`       // what came of it
}

// Ref names the backend.
func (e Event) Ref() configs.Ref { return configs.Ref{Pool: e.Pool, Backend: e.Backend} }

// Changed tells whether the status changed; otherwise the backend was held or kept.
func (e Event) Changed() bool { return e.From != e.To }

// Leaves tells whether the backend lost its slots because it went down.
func (e Event) Leaves() bool {
	return e.To == Down && e.Admin == "" && slices.Contains(e.Did, didLeave)
}

// What an event did to the slots.
const (
	didLeave   = "takes no new clients"
	didCome    = "takes new clients"
	didKeep    = "keeps its slots, for nobody else is left (on_all_down: keep-last)"
	didRelease = "gives up its slots, for others are back"
)

// newEvent is what happened to a backend between two states, if anything did.
func newEvent(now time.Time, ref configs.Ref, prev, next State, r BackendReport) (Event, bool) {
	e := Event{
		Time: now, Pool: ref.Pool, Backend: ref.Backend, From: prev.Status, To: next.Status, Step: r.Step, Reason: r.Reason,
		Admin: r.Admin,
	}
	if next.Held.After(prev.Held) {
		e.Held = next.Held
	}
	was, is := prev.Member() && e.Admin == "", next.Member() && e.Admin == ""
	switch {
	case e.From == Unknown && e.To == Up: // nothing that anybody waited for
		return Event{}, false
	case next.Kept && !prev.Kept:
		e.Did = append(e.Did, didKeep)
	case prev.Kept && !next.Kept && next.Status == Down:
		e.Did = append(e.Did, didRelease)
	case was && !is:
		e.Did = append(e.Did, didLeave)
	case is && !was:
		e.Did = append(e.Did, didCome)
	}
	if !e.Changed() && len(e.Did) == 0 && e.Held.IsZero() {
		return Event{}, false
	}
	return e, true
}

// String is the event in a line, without its time.
func (e Event) String() string {
	s := fmt.Sprintf("%s/%s: %s -> %s", e.Pool, e.Backend, e.From, e.To)
	if !e.Changed() {
		s = fmt.Sprintf("%s/%s: stays %s", e.Pool, e.Backend, e.To)
	}
	if e.Admin != "" {
		s += " (" + e.Admin + " by an admin)"
	}
	if e.Reason != "" && e.To == Down {
		s += ": " + string(e.Step) + ": " + e.Reason
	}
	if !e.Held.IsZero() {
		s += "; it flaps, and is held down until " + e.Held.Format(time.RFC3339)
	}
	for _, d := range e.Did {
		s += "; " + d
	}
	return s
}
