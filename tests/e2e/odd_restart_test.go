package e2e

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/script"
)

// pauses are the places of one dialogue at which the helper may be started again. The dialogue waits at one of them.
type pauses struct {
	at       int32 // which one; -1: none
	passed   atomic.Int32
	where    atomic.Value // the name of the place
	reached  chan struct{}
	goOn     chan struct{}
	together time.Duration // from when the place is reached until it is told
}

func newPauses(at int) *pauses {
	return &pauses{at: int32(at), reached: make(chan struct{}), goOn: make(chan struct{})}
}

// here is one of the places.
func (p *pauses) here(ctx context.Context, where string) error {
	if p.passed.Add(1)-1 != p.at {
		return nil
	}
	p.where.Store(where)
	select { // what was said last is on its way
	case <-time.After(p.together):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	close(p.reached)
	select {
	case <-p.goOn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// paused is a dialogue with places between all of its steps, and in the middle of a 227 and of a PORT.
func paused(name string, p *pauses, together time.Duration) dialogue {
	p.together = together
	step := func(where string) script.Step {
		return func(s *script.Session, _ string) error {
			return s.Do(func(ctx context.Context) error { return p.here(ctx, where) })
		}
	}
	return dialogue{
		name: name,
		server: script.Server{On: map[string][]script.Step{
			script.Greeting: {step("before the greeting"), script.Say("220 scripted\r\n")},
			"USER":          {step("after USER"), script.Say("331 password\r\n")},
			"PASV": {
				script.Listen(), step("after PASV"),
				script.Say("227 Entering Passive Mode ("), step("in 227, before the address"),
				script.Say("{227}).\r\n"),
			},
			"PORT": {step("after PORT"), script.Announced()},
			"RETR": {step("after RETR"), script.Transfer()},
		}},
		talk: func(ctx context.Context, a *actor) error { return pausedClient(ctx, a, p) },
	}
}

func pausedClient(ctx context.Context, a *actor, p *pauses) error {
	if err := a.client.Login(ctx); err != nil {
		return err
	}
	if err := p.here(ctx, "after the log-in"); err != nil {
		return err
	}
	for _, mode := range []client.Mode{client.PASV, client.PORT} {
		agree := func() (func() (net.Conn, error), error) { return a.client.Agree(ctx, mode) }
		if mode.Active() {
			agree = func() (func() (net.Conn, error), error) { return pausedPort(ctx, a, p) }
		}
		open, err := agree()
		if err == nil {
			if err := p.here(ctx, "after the reply to "+string(mode)); err != nil {
				return err
			}
			err = a.client.Receive(ctx, open, a.content)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		if err := p.here(ctx, "after the transfer by "+string(mode)); err != nil {
			return err
		}
	}
	return a.goesOn(ctx)
}

// pausedPort says PORT in pieces.
func pausedPort(ctx context.Context, a *actor, p *pauses) (func() (net.Conn, error), error) {
	l, line, err := a.client.Offer(ctx, client.PORT)
	if err != nil {
		return nil, err
	}
	done := 0
	for _, cut := range []int{2, len("PORT "), len("PORT 198,51"), len(line) - 4, len(line) - 1} {
		if err := a.client.Say(ctx, line[done:cut], script.Cut{}); err != nil {
			return nil, err
		}
		if err := p.here(ctx, fmt.Sprintf("in PORT, after %d bytes", cut)); err != nil {
			return nil, err
		}
		done = cut
	}
	if err := a.client.Say(ctx, line[done:]+"\r\n", script.Cut{}); err != nil {
		return nil, err
	}
	_, err = a.client.Want(ctx, "200")
	return l, err
}

// TestHelperKilledBetweenSteps kills the helper between any two steps of a dialogue, and starts another: there is one
// dialogue for each place, and all of them wait at theirs when it happens.
func TestHelperKilledBetweenSteps(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			all := newPauses(-1)
			must(t, s.play(paused("without pauses", all, 0)))
			var waiting []*pauses
			var list []dialogue
			for _, together := range []time.Duration{20 * time.Millisecond, time.Second} {
				for at := range int(all.passed.Load()) {
					p := newPauses(at)
					waiting = append(waiting, p)
					list = append(list, paused(fmt.Sprintf("place %d, %v later", at, together), p, together))
				}
			}
			var reached atomic.Int32
			for _, p := range waiting {
				go func() {
					select {
					case <-p.reached:
					case <-time.After(2 * script.Patience): // that dialogue has failed
					}
					if int(reached.Add(1)) < len(waiting) {
						return
					}
					s.restartHelper()
					for _, p := range waiting {
						close(p.goOn)
					}
				}()
			}
			inParallel(t, len(list), func(i int) (string, error) {
				err := s.play(list[i])
				return fmt.Sprintf("%v, %v", waiting[i].where.Load(), waiting[i].together), err
			})
			s.noWrongPort(t)
		})
	}
}
