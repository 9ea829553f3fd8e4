package operate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs/inforce"
	"ftpvip/rules"
	"ftpvip/rules/change"
)

// verbs are the changes that can fail half-way, with what comes before each.
var verbs = []struct {
	name    string
	prepare func(*world)
	do      func(context.Context, *Operator) error
	steps   int // at least
}{
	{"the first apply", func(*world) {}, applyVerb, 4},
	{"another apply", func(w *world) { w.apply(); w.configure("round-robin", 7) }, applyVerb, 3},
	{"apply to confirm", func(w *world) { w.apply(); w.configure("round-robin", 7) }, func(ctx context.Context, o *Operator) error {
		_, err := o.Apply(ctx, time.Minute)
		return err
	}, 4},
	{"confirm", func(w *world) { w.apply(); w.configure("random", 7); w.confirmLater(time.Hour) }, func(ctx context.Context, o *Operator) error {
		_, err := o.Confirm(ctx)
		return err
	}, 1},
	{"rollback", func(w *world) { w.apply(); w.configure("random", 7); w.apply() }, rollbackVerb, 3},
	{"rollback of the first apply", func(w *world) { w.apply() }, rollbackVerb, 3},
	{"flush", func(w *world) { w.apply() }, func(ctx context.Context, o *Operator) error {
		_, err := o.Flush(ctx)
		return err
	}, 3},
	{"drain", func(w *world) { w.apply() }, func(ctx context.Context, o *Operator) error {
		_, err := o.SetMode(ctx, ref("a"), rules.Drained)
		return err
	}, 2},
	{"weight", func(w *world) { w.apply() }, func(ctx context.Context, o *Operator) error {
		_, err := o.SetWeight(ctx, ref("a"), 90)
		return err
	}, 2},
}

func applyVerb(ctx context.Context, o *Operator) error {
	_, err := o.Apply(ctx, 0)
	return err
}

func rollbackVerb(ctx context.Context, o *Operator) error {
	_, err := o.Rollback(ctx, false)
	return err
}

// failAt makes the nth step fail: before it was done, or when it was done already where it can be undone.
func failAt(n int, late bool) (run change.Runner, failed *string) {
	failed = new(string)
	return func(s change.Step) error {
		if n--; n != 0 {
			return s.Do()
		}
		*failed = s.Name
		if late && s.Undo != nil {
			if err := s.Do(); err != nil {
				return err
			}
		}
		return errFault
	}, failed
}

// TestEachStepFails: after a failure at any step everything is as it was, and the error names the step.
func TestEachStepFails(t *testing.T) {
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			w := newWorld(t)
			v.prepare(w)
			before := w.snapshot()
			n := 1
			for ; ; n++ {
				over := false
				for _, late := range []bool{false, true} {
					o, waiter := w.operator(), &fakeWaiter{}
					o.Waiter = waiter
					run, failed := failAt(n, late)
					o.Change = run
					err := v.do(t.Context(), o)
					if over = *failed == ""; over {
						if err != nil {
							t.Errorf("without a fault: %v", err)
						}
						break
					}
					if !errors.Is(err, errFault) || !strings.Contains(err.Error(), *failed+": ") || !strings.Contains(err.Error(), "everything is as it was before") {
						t.Errorf("step %d, %q: %v", n, *failed, err)
					}
					if diff := cmp.Diff(before, w.snapshot()); diff != "" || waiter.token != "" {
						t.Errorf("step %d, %q, late %v: the waiter has %q (-before +after)\n%s", n, *failed, late, waiter.token, diff)
					}
				}
				if over {
					break
				}
			}
			if n-1 < v.steps {
				t.Errorf("%d steps, want at least %d", n-1, v.steps)
			}
			if cmp.Equal(before, w.snapshot()) {
				t.Error("in the end nothing changed")
			}
		})
	}
}

// TestHostFails: what the host refuses leaves everything as it was.
func TestHostFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(*world, *fakeWaiter)
		mend func(*world)
	}{
		{"nf_tables", func(w *world, _ *fakeWaiter) { w.kernel.fail(true) }, func(w *world) { w.kernel.fail(false) }},
		{"the carrier", func(w *world, _ *fakeWaiter) { w.carrier.fail, w.carrier.registered = true, false }, func(w *world) { w.carrier.fail = false }},
		{"an address, half-way", func(w *world, _ *fakeWaiter) { w.addresses.half, w.addresses.held = true, nil }, func(w *world) { w.addresses.half = false }},
		{"the waiting process", func(_ *world, p *fakeWaiter) { p.fail = true }, func(*world) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.apply()
			w.configure("round-robin", 7)
			o, waiter := w.operator(), &fakeWaiter{}
			o.Waiter = waiter
			tt.fail(w, waiter)
			before := w.snapshot()
			if _, err := o.Apply(t.Context(), time.Minute); !errors.Is(err, errFault) {
				t.Errorf("it says %v", err)
			}
			if diff := cmp.Diff(before, w.snapshot()); diff != "" || waiter.token != "" {
				t.Errorf("the waiter has %q (-before +after)\n%s", waiter.token, diff)
			}
			tt.mend(w)
			w.apply()
			w.inStep()
		})
	}
}

// TestOthersChangeRules: where another program changes its rules between our reading and writing, we read again; where it
// does not stop, our own table is what counts.
func TestOthersChangeRules(t *testing.T) {
	w := newWorld(t)
	w.kernel.meddle(attempts - 1)
	w.apply()
	w.inStep()
	w.configure("random", 7)
	w.kernel.meddle(1000)
	w.apply()
	w.inStep()
}

// TestRollbackOfRollback: the second one brings back what the first one took.
func TestRollbackOfRollback(t *testing.T) {
	w := newWorld(t)
	w.apply()
	first := w.kernel.Text()
	w.configure("round-robin", 7)
	w.apply()
	second := w.kernel.Text()
	if first == second {
		t.Fatal("both configurations make the same table")
	}
	for i, want := range []string{first, second, first} {
		done, err := w.operator().Rollback(t.Context(), true)
		if err != nil || !done.Changed || !done.DryRun {
			t.Fatalf("rollback %d, dry run: %+v, %v", i, done, err)
		}
		if done, err = w.operator().Rollback(t.Context(), false); err != nil || !done.Changed {
			t.Fatalf("rollback %d: %+v, %v", i, done, err)
		}
		if got := w.kernel.Text(); got != want {
			t.Errorf("rollback %d (-want +got)\n%s", i, cmp.Diff(want, got))
		}
	}
}

// TestRollbackKeepsDecisions: a backend that was drained since then stays out.
func TestRollbackKeepsDecisions(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.configure("round-robin", 9)
	w.apply()
	if _, err := w.operator().SetMode(t.Context(), ref("b"), rules.Drained); err != nil {
		t.Fatal(err)
	}
	if _, err := w.operator().Rollback(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if text := w.kernel.Text(); strings.Contains(text, ": 10.2.0.9 . 21") || !strings.Contains(text, ": 10.2.0.8 . 21") {
		t.Errorf("the slots are\n%s", text)
	}
}

// TestNoWayBack: where nobody knows what was in force before, a rollback changes nothing and says what to do.
func TestNoWayBack(t *testing.T) {
	w := newWorld(t)
	w.apply()
	if err := (inforce.Record{}).Save(w.dir); err != nil {
		t.Fatal(err)
	}
	before := w.snapshot()
	for _, dryRun := range []bool{true, false} {
		if _, err := w.operator().Rollback(t.Context(), dryRun); !errors.Is(err, errNoWayBack) || !strings.Contains(err.Error(), "run `ftpvip apply`") {
			t.Errorf("dry run %v: %v", dryRun, err)
		}
	}
	if diff := cmp.Diff(before, w.snapshot()); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}
