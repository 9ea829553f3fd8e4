// Package inforce remembers which configuration was applied last and which one before it, so that the way back is open,
// and whether the last one waits for a confirmation. The changes of a Record are pure; load.go has its file in the state
// directory.
package inforce

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"ftpvip/configs"
)

// Applied is a configuration as it was applied: its text without passwords, and what flags and environment put in the place of the
// text's values as far as the kernel's table depends on it. Comparable; At is when.
type Applied struct {
	At         time.Time `json:"at"`
	File       string    `json:"file"`
	Text       string    `json:"text"`
	Queues     int       `json:"queues"`
	FirstQueue uint16    `json:"first_queue"`
	Carrier    string    `json:"carrier"`
}

// New makes the Applied of a configuration and its text.
func New(file string, text []byte, cfg *configs.Config, now time.Time) Applied {
	return Applied{
		At: stamp(now), File: file, Text: string(configs.Conceal(text)),
		Queues: cfg.Helper.Queues, FirstQueue: cfg.Helper.FirstQueue, Carrier: string(cfg.Helper.Carrier),
	}
}

// ID tells configurations apart that ask for different things.
func (a *Applied) ID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %q", a.Text, a.Queues, a.FirstQueue, a.Carrier))
	return hex.EncodeToString(sum[:6])
}

// Config reads the text.
func (a *Applied) Config() (*configs.Config, error) {
	cfg, err := configs.Parse(a.File, []byte(a.Text), nil)
	if err != nil {
		return nil, fmt.Errorf("the configuration that was applied at %s is not valid any more: %w", a.At.Format(time.RFC3339), err)
	}
	cfg.Helper.Queues, cfg.Helper.FirstQueue, cfg.Helper.Carrier = a.Queues, a.FirstQueue, configs.Carrier(a.Carrier)
	return cfg, nil
}

// same reports whether two ask for the same.
func (a *Applied) same(o *Applied) bool {
	if a == nil || o == nil {
		return a == o
	}
	x, y := *a, *o
	x.At, y.At, x.File, y.File = time.Time{}, time.Time{}, "", ""
	return x == y
}

// Pending is an apply that is rolled back unless somebody confirms it.
type Pending struct {
	Until time.Time `json:"until"`
	// The same as a time since the host started: the clock on the wall may jump. 0 in records of earlier versions.
	UntilUp time.Duration `json:"until_up,omitzero"`
	Token   string        `json:"token"` // of the process that waits
	Boot    string        `json:"boot"`  // of the host: after a restart nobody waits any more
}

// Record is what is remembered. The zero value is a host on which nothing was ever applied, as far as is known.
type Record struct {
	Current       *Applied  `json:"current"`  // nil: no table, or unknown
	Previous      *Applied  `json:"previous"` // what was in force before; nil: no table
	PreviousKnown bool      `json:"previous_known"`
	RolledBack    time.Time `json:"rolled_back,omitzero"` // Current was restored then, and the file is not in force
	Pending       *Pending  `json:"pending,omitempty"`
}

// Same reports whether next is in force already.
func (r Record) Same(next Applied) bool { return r.Current != nil && r.Current.same(&next) }

// Apply is the record after an apply. hadTable is whether our table was in the kernel before. Where next is in force
// already, the way back stays as it was: an apply that only mends the table opens no other.
func (r Record) Apply(next Applied, hadTable bool, pending *Pending) Record {
	after := Record{Current: &next, Previous: r.Previous, PreviousKnown: r.PreviousKnown, Pending: pending}
	switch {
	case r.Same(next):
		after.Current = r.Current
	case r.Current != nil:
		after.Previous, after.PreviousKnown = r.Current, true
	default: // nobody knows what a table is that was there; none is the way back to none
		after.Previous, after.PreviousKnown = nil, !hadTable
	}
	return after
}

// RollBack is the record after a rollback; a second rollback undoes the first.
func (r Record) RollBack(now time.Time) Record {
	return Record{Current: r.Previous, Previous: r.Current, PreviousKnown: r.Current != nil, RolledBack: stamp(now)}
}

// Confirm is the record after a confirmation.
func (r Record) Confirm() Record {
	r.Pending = nil
	return r
}

// Flush is the record after our table was removed: the way back brings it again.
func (r Record) Flush() Record {
	if r.Current == nil {
		return r.Confirm()
	}
	return Record{Previous: r.Current, PreviousKnown: true}
}

// Overdue reports whether an apply should have been rolled back already: its time is over, or the host was restarted. up is how long
// the host has been up.
func (r Record) Overdue(now time.Time, up time.Duration, boot string) bool {
	switch p := r.Pending; {
	case p == nil:
		return false
	case p.Boot != boot:
		return true
	case p.UntilUp > 0:
		return up > p.UntilUp
	default:
		return now.After(p.Until)
	}
}

// Text says what an apply waits for.
func (p *Pending) Text(now time.Time) string {
	return fmt.Sprintf("an apply waits for its confirmation until %s (%s): `ftpvip confirm` keeps it, `ftpvip rollback` takes it back",
		p.Until.Local().Format(time.TimeOnly), max(p.Until.Sub(now), 0).Round(time.Second))
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
