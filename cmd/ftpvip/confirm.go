package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs/inforce"
)

func (a *app) confirmCommand() *cobra.Command {
	return verb("confirm", "Keep what `apply --confirm` applied", a.confirm)
}

func (a *app) confirm(ctx context.Context) error {
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := a.record()
	if err != nil {
		return err
	}
	if r.Pending == nil {
		if !r.RolledBack.IsZero() {
			return fmt.Errorf("nothing waits for a confirmation: the last change was a rollback, at %s", r.RolledBack.Format(time.RFC3339))
		}
		return errors.New("nothing waits for a confirmation; `ftpvip apply --confirm 60s` applies so that it does")
	}
	step, err := a.remember(r.Confirm())
	if err != nil {
		return err
	}
	if err := a.change.Carry(step); err != nil {
		return err
	}
	return write(a.stdout, "confirmed: the configuration of %s stays in force\n", r.Current.At.Format(time.RFC3339))
}

// newPending makes the promise that an apply is rolled back after some time.
func newPending(after time.Duration) (*inforce.Pending, error) {
	id, err := boot()
	if err != nil {
		return nil, err
	}
	return &inforce.Pending{Until: time.Now().Add(after).UTC().Truncate(time.Millisecond), Token: rand.Text(), Boot: id}, nil
}

// awaitCommand is what `apply --confirm` leaves behind.
func (a *app) awaitCommand() *cobra.Command {
	cmd := verb("await-confirm", "Roll an apply back after some time unless it is confirmed", nil)
	cmd.Hidden = true
	after := cmd.Flags().Duration("after", 0, "how long to wait")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		token, err := a.presentSelf(cmd.Context())
		if err == nil && token != "" {
			err = a.await(cmd.Context(), token, *after)
		}
		return fail(err, exitFailure)
	}
	return cmd
}

// How often a waiting process looks whether it still has to wait, and tries again what failed, and for how long.
const (
	awaitPoll   = 250 * time.Millisecond
	awaitRetry  = 5 * time.Second
	awaitGiveUp = 10 * time.Minute
)

// await rolls back when the time is over, and ends when the apply was confirmed or rolled back by somebody else.
func (a *app) await(ctx context.Context, token string, after time.Duration) error {
	over := time.NewTimer(after)
	defer over.Stop()
	tick := time.NewTicker(awaitPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done(): // the host goes down; whoever comes next finds it overdue
			return ctx.Err()
		case <-tick.C:
			if waits, err := a.waits(token); err == nil && !waits {
				return nil
			}
		case <-over.C:
			return a.unconfirmed(ctx, token)
		}
	}
}

// waits tells whether an apply still waits for its confirmation.
func (a *app) waits(token string) (bool, error) {
	r, _, err := inforce.Load(a.v.GetString("state-dir"))
	return r.Pending != nil && r.Pending.Token == token, err
}

// unconfirmed rolls back, and tries again if that fails.
func (a *app) unconfirmed(ctx context.Context, token string) error {
	deadline := time.Now().Add(awaitGiveUp)
	for {
		err := a.rollBackIf(ctx, token)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		a.log.Error("the rollback failed; it will be tried again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(awaitRetry):
		}
	}
}

func (a *app) rollBackIf(ctx context.Context, token string) error {
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := a.record()
	if err != nil || r.Pending == nil || r.Pending.Token != token {
		return err // confirmed in the last moment
	}
	back, err := a.rollBack(r, false)
	if err != nil {
		return err
	}
	a.log.Warn("not confirmed", "result", back.String())
	a.reloadHelper(ctx)
	return nil
}

// pendingText says what an apply waits for.
func pendingText(p *inforce.Pending, now time.Time) string {
	return fmt.Sprintf("an apply waits for its confirmation until %s (%s): `ftpvip confirm` keeps it, `ftpvip rollback` takes it back",
		p.Until.Local().Format(time.TimeOnly), max(p.Until.Sub(now), 0).Round(time.Second))
}

// exists tells whether there is such a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
