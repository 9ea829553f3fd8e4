package operate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"ftpvip/configs/inforce"
)

// Confirm keeps what `apply --confirm` applied, and says when that was.
func (o *Operator) Confirm(ctx context.Context) (applied time.Time, err error) {
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return applied, err
	}
	defer unlock()
	r, err := o.record()
	if err != nil {
		return applied, err
	}
	if r.Pending == nil {
		if !r.RolledBack.IsZero() {
			return applied, fmt.Errorf("nothing waits for a confirmation: the last change was a rollback, at %s", r.RolledBack.Format(time.RFC3339))
		}
		return applied, errors.New("nothing waits for a confirmation; `ftpvip apply --confirm 60s` applies so that it does")
	}
	step, err := o.recordStep(r.Confirm())
	if err != nil {
		return applied, err
	}
	if err := o.Change.Carry(step); err != nil {
		return applied, err
	}
	return r.Current.At, nil
}

// newPending describes an apply that is rolled back after some time unless it is confirmed.
func (o *Operator) newPending(after time.Duration) (*inforce.Pending, error) {
	id, err := o.Clock.Boot()
	if err != nil {
		return nil, err
	}
	return &inforce.Pending{Until: o.Clock.Now().Add(after).UTC().Truncate(time.Millisecond), UntilUp: o.Clock.Up() + after, Token: rand.Text(), Boot: id}, nil
}

// Intervals of the waiting process: how often it checks whether it still has to wait, how often it retries a rollback that
// failed, and for how long.
const (
	awaitPoll   = 250 * time.Millisecond
	awaitRetry  = 5 * time.Second
	awaitGiveUp = 10 * time.Minute
)

// awaitUntil rolls back when the time is over. It returns earlier if the apply was confirmed or rolled back by another process.
func (o *Operator) awaitUntil(ctx context.Context, token string, over <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done(): // the host shuts down; the next command finds the apply overdue
			return ctx.Err()
		case <-o.Clock.After(awaitPoll):
			if waits, err := o.waits(token); err == nil && !waits {
				return nil
			}
		case <-over:
			return o.unconfirmed(ctx, token)
		}
	}
}

// waits reports whether an apply still waits for its confirmation.
func (o *Operator) waits(token string) (bool, error) {
	r, _, err := inforce.Load(o.StateDir)
	return r.Pending != nil && r.Pending.Token == token, err
}

// unconfirmed rolls back, and retries if that fails.
func (o *Operator) unconfirmed(ctx context.Context, token string) error {
	deadline := o.Clock.Now().Add(awaitGiveUp)
	for {
		err := o.rollBackIf(ctx, token)
		if err == nil || ctx.Err() != nil || o.Clock.Now().After(deadline) {
			return err
		}
		o.Log.Error("the rollback failed; it will be retried", "err", err)
		select {
		case <-ctx.Done():
		case <-o.Clock.After(awaitRetry):
		}
	}
}

func (o *Operator) rollBackIf(ctx context.Context, token string) error {
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := o.record()
	if err != nil || r.Pending == nil || r.Pending.Token != token {
		return err // confirmed just now
	}
	back, err := o.rollBack(r, false)
	if err != nil {
		return err
	}
	o.Log.Warn("not confirmed", "result", back.String())
	o.reloadHelper(ctx)
	return nil
}
