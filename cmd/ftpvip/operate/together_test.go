package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/health/probe"
	"ftpvip/rules"
)

// TestFiftyAtOnce has fifty commands at the same time, each a process of its own. All succeed, one after another, and in
// the end kernel and files agree.
func TestFiftyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.apply()
	var group sync.WaitGroup
	var failed atomic.Int32
	for n := range 50 {
		group.Go(func() {
			o := w.operator()
			var err error
			switch n % 5 {
			case 0:
				_, err = o.SetWeight(t.Context(), ref("a"), 1+n)
			case 1:
				_, err = o.SetMode(t.Context(), ref("b"), rules.Drained)
			case 2:
				_, err = o.SetMode(t.Context(), ref("b"), rules.Enabled)
			case 3:
				_, err = o.Apply(t.Context(), 0)
			default:
				_, err = o.Disable(t.Context(), ref("b"))
			}
			if err != nil {
				failed.Add(1)
				t.Errorf("command %d: %v", n, err)
			}
		})
	}
	group.Wait()
	w.inStep()
	if failed.Load() == 0 && w.kernel.Commits() < 5 {
		t.Errorf("%d transactions", w.kernel.Commits())
	}
	if len(w.sessions.reset) != 10 {
		t.Errorf("sessions were ended %d times, want 10", len(w.sessions.reset))
	}
}

// flapping is a farm of which server a is dead in every other round.
type flapping struct{ rounds atomic.Int32 }

func (f *flapping) probe(_ context.Context, t probe.Target) judge.Result {
	if strings.HasSuffix(t.Addr.Addr().String(), "8") && f.rounds.Load()%2 == 0 {
		return judge.Result{Step: judge.StepConnect, Reason: "refused", Err: errFault}
	}
	return judge.Result{}
}

// TestDrainWhileHealthMovesSlots: checks take a server out and back again while an admin drains the other one. No decision
// and no finding is lost.
func TestDrainWhileHealthMovesSlots(t *testing.T) {
	w := newWorld(t)
	w.apply()
	farm := &flapping{}
	o := w.operator()
	o.Probes = probe.Set{configs.CheckTCP: farm.probe}
	var rounds sync.WaitGroup
	rounds.Go(func() {
		for range 20 {
			farm.rounds.Add(1)
			if err := o.Round(t.Context(), func(health.Report) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range 10 {
		mode := []rules.Mode{rules.Drained, rules.Enabled}[n%2]
		if _, err := w.operator().SetMode(t.Context(), ref("b"), mode); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.operator().SetMode(t.Context(), ref("b"), rules.Drained); err != nil {
		t.Error(err)
	}
	rounds.Wait()
	w.inStep()
	if text := w.kernel.Text(); strings.Contains(text, ": 10.2.0.9 . 21") {
		t.Errorf("the drained server holds slots:\n%s", text)
	}
	farm.rounds.Store(1)
	if err := o.Round(t.Context(), func(health.Report) error { return nil }); err != nil {
		t.Error(err)
	}
	if text := w.kernel.Text(); !strings.Contains(text, ": 10.2.0.8 . 21") || strings.Contains(text, ": 10.2.0.9 . 21") {
		t.Errorf("the slots are\n%s", text)
	}
	events, err := o.History()
	if err != nil || len(events) < 19 {
		t.Errorf("the history has %d events, %v", len(events), err)
	}
}

// TestTwoRounds: a round does nothing where another one is running.
func TestTwoRounds(t *testing.T) {
	w := newWorld(t)
	w.apply()
	o := w.operator()
	o.Probes = probe.Set{configs.CheckTCP: (&flapping{}).probe}
	shown := 0
	err := o.Round(t.Context(), func(health.Report) error {
		shown++
		return w.operator().Round(t.Context(), func(health.Report) error { shown++; return nil })
	})
	if err != nil || shown != 1 || !strings.Contains(w.said.String(), "another round") {
		t.Errorf("%d reports, %v\n%s", shown, err, w.said.String())
	}
}

// TestDisable: where sessions cannot be ended the backend is out all the same, and the message says what to do.
func TestDisable(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.sessions.left, w.sessions.fail = 3, true
	if _, err := w.operator().Disable(t.Context(), ref("a")); !errors.Is(err, errFault) || !strings.Contains(err.Error(), "run the same command again") {
		t.Errorf("it says %v", err)
	}
	w.inStep()
	w.sessions.fail = false
	d, err := w.operator().Disable(t.Context(), ref("a"))
	if err != nil || d.Control != 3 || d.Changed {
		t.Errorf("%+v, %v", d, err)
	}
	var usage UsageError
	if _, err := w.operator().Disable(t.Context(), ref("z")); !errors.As(err, &usage) || !strings.Contains(err.Error(), "it has: a, b") {
		t.Errorf("of a backend that is not configured: %v", err)
	}
}

// TestAwaitIdle counts until nobody is left, or the time is over.
func TestAwaitIdle(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.sessions.left = 3
	var shown []int
	left, err := w.operator().AwaitIdle(t.Context(), ref("a"), 0, func(n int) error { shown = append(shown, n); return nil })
	if err != nil || left != 0 || fmt.Sprint(shown) != "[3 2 1 0]" {
		t.Errorf("%d left, %v, shown %v", left, err, shown)
	}
	w.sessions.left = 1 << 30
	go func() {
		time.Sleep(20 * time.Millisecond)
		w.clock.pass(time.Minute)
	}()
	left, err = w.operator().AwaitIdle(t.Context(), ref("a"), time.Minute, func(int) error { return nil })
	if !errors.Is(err, ErrStillRunning) || left == 0 || !strings.Contains(err.Error(), "ftpvip disable farm/a") {
		t.Errorf("%d left, %v", left, err)
	}
}
