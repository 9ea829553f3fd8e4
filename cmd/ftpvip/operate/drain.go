package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/rules"
)

// Disable takes a backend out and resets its sessions. The slots change first, so that clients that reconnect get another
// backend.
func (o *Operator) Disable(ctx context.Context, ref configs.Ref) (*report.Disabled, error) {
	d, err := o.SetMode(ctx, ref, rules.Disabled)
	if err != nil {
		return nil, err
	}
	in, err := o.serving()
	if err != nil {
		return nil, err
	}
	ended, err := o.Sessions.Reset(ctx, in.cfg, []configs.Ref{ref})
	if err != nil {
		return nil, fmt.Errorf("%s is disabled, but some of its sessions may go on; run the same command again: %w", ref, err)
	}
	if ended.Silent > 0 {
		o.Log.Warn("connections were deleted without a reset because they are older than the table: both ends notice when they "+
			"next send data", "connections", ended.Silent)
	}
	return &report.Disabled{Decided: d, Ended: ended}, nil
}

// AwaitIdle waits until a backend has no session, for at most timeout unless that is 0. It calls show with the number of
// sessions whenever that changes. It returns the number left, and ErrStillRunning if the time is over.
func (o *Operator) AwaitIdle(ctx context.Context, ref configs.Ref, timeout time.Duration, show func(int) error) (left int, err error) {
	in, err := o.serving()
	if err != nil {
		return 0, err
	}
	left, err = o.waitIdle(ctx, timeout, func() (int, error) { return o.Sessions.Count(in.cfg, ref) }, show)
	switch {
	case errors.Is(err, ErrStillRunning):
		return left, fmt.Errorf("%s: %w: %d after %s; it stays drained: wait again with the same command, or end them with "+
			"`ftpvip disable %s`", ref, err, left, timeout, ref)
	case ctx.Err() != nil:
		return left, fmt.Errorf("no longer waiting, %d sessions of %s still run; it stays drained: `ftpvip enable %s` takes that back",
			left, ref, ref)
	}
	return left, err
}

// ErrStillRunning says that sessions are left when the time is over.
var ErrStillRunning = errors.New("sessions still run")

// pollSessions is how often sessions are counted. Counting reads all of conntrack; it may use a tenth of the time at most.
const pollSessions = 500 * time.Millisecond

// waitIdle waits until count was 0 twice in a row, because a connection that was being opened when the slots changed is not
// counted at first.
func (o *Operator) waitIdle(ctx context.Context, timeout time.Duration, count func() (int, error), show func(int) error) (int, error) {
	var deadline <-chan time.Time
	if timeout > 0 {
		deadline = o.Clock.After(timeout)
	}
	for before := -1; ; {
		begun := o.Clock.Now()
		n, err := count()
		if err != nil {
			return n, err
		}
		if n != before {
			if err := show(n); err != nil {
				return n, err
			}
		} else if n == 0 {
			return 0, nil
		}
		before = n
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-deadline:
			return n, ErrStillRunning
		case <-o.Clock.After(max(pollSessions, 10*o.Clock.Now().Sub(begun))):
		}
	}
}
