package judge

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
	Slots   Slots     `json:"slots,omitzero"`      // what it does to the backend's slots
	Did     []string  `json:"did,omitempty"`       // what came of it, in words for people
}

// Ref names the backend.
func (e Event) Ref() configs.Ref { return configs.Ref{Pool: e.Pool, Backend: e.Backend} }

// Changed reports whether the status changed; otherwise the backend was held or kept.
func (e Event) Changed() bool { return e.From != e.To }

// Leaves reports whether the backend lost its slots because it went down.
func (e Event) Leaves() bool { return e.To == Down && e.Admin == "" && e.Slots == SlotsLeft }

// Slots is what an event does to a backend's slots.
type Slots uint8

// The effects on slots. The zero value is none.
const (
	SlotsSame     Slots = iota
	SlotsLeft           // it was a member, and is not any more
	SlotsTaken          // it is a member now
	SlotsKept           // it is down, and stays a member because nobody else is left
	SlotsReleased       // it was kept, and others are back
)

var slotsNames = [...]string{SlotsSame: "same", SlotsLeft: "left", SlotsTaken: "taken", SlotsKept: "kept", SlotsReleased: "released"}

// MarshalText implements encoding.TextMarshaler.
func (s Slots) MarshalText() ([]byte, error) {
	if int(s) >= len(slotsNames) {
		return nil, fmt.Errorf("no such effect on slots: %d", uint8(s))
	}
	return []byte(slotsNames[s]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Slots) UnmarshalText(b []byte) error {
	i := slices.Index(slotsNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("no such effect on slots: %q", b)
	}
	*s = Slots(i)
	return nil
}

// words is the effect as people read it in the history.
func (s Slots) words() string {
	switch s {
	case SlotsLeft:
		return "takes no new clients"
	case SlotsTaken:
		return "takes new clients"
	case SlotsKept:
		return "keeps its slots, for nobody else is left (on_all_down: keep-last)"
	case SlotsReleased:
		return "gives up its slots, for others are back"
	case SlotsSame:
	}
	return ""
}

// newEvent is what happened to a backend between two states, if anything did.
func newEvent(now time.Time, ref configs.Ref, prev State, v Verdict, admin string) (Event, bool) {
	next := v.State
	e := Event{
		Time: now, Pool: ref.Pool, Backend: ref.Backend, From: prev.Status, To: next.Status, Step: v.cause.Step, Reason: v.cause.Reason,
		Admin: admin,
	}
	if next.Held.After(prev.Held) {
		e.Held = next.Held
	}
	was, is := prev.Member() && admin == "", next.Member() && admin == ""
	switch {
	case e.From == Unknown && e.To == Up: // nothing that anybody waited for
		return Event{}, false
	case next.Kept && !prev.Kept:
		e.Slots = SlotsKept
	case prev.Kept && !next.Kept && next.Status == Down:
		e.Slots = SlotsReleased
	case was && !is:
		e.Slots = SlotsLeft
	case is && !was:
		e.Slots = SlotsTaken
	}
	if !e.Changed() && e.Slots == SlotsSame && e.Held.IsZero() {
		return Event{}, false
	}
	if e.Slots != SlotsSame {
		e.Did = []string{e.Slots.words()}
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
