// Package change carries out a change that has several steps, whole or not at all.
package change

import (
	"errors"
	"fmt"
	"slices"
)

// Step is one step of a change. Undo brings back what was before Do, also where Do failed half-way; it is nil where
// Do itself is whole or nothing, as a transaction of the kernel's is.
type Step struct {
	Name string // what Do does, for errors: "writing admin state"
	Do   func() error
	Undo func() error
}

// Runner carries out one step. Tests make steps fail with one of their own.
type Runner func(Step) error

// Plain carries out a step and does nothing else.
func Plain(s Step) error { return s.Do() }

// Carry carries out the steps in order. When one fails, it and those before it are undone, the latest first, and the
// error says which one failed and whether everything is as it was.
func (r Runner) Carry(steps ...Step) error {
	for i, s := range steps {
		err := r(s)
		if err == nil {
			continue
		}
		undone := undo(steps[:i+1])
		if undone != nil {
			return fmt.Errorf("%s: %w; and what was done before could not be taken back: %w", s.Name, err, undone)
		}
		return fmt.Errorf("%s: %w (everything is as it was before)", s.Name, err)
	}
	return nil
}

func undo(steps []Step) error {
	var errs []error
	for _, s := range slices.Backward(steps) {
		if s.Undo != nil {
			errs = append(errs, s.Undo())
		}
	}
	return errors.Join(errs...)
}
