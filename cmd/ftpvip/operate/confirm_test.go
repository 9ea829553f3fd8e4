package operate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs/inforce"
)

// TestConfirm: what is confirmed stays, and the process that waits ends.
func TestConfirm(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.configure("round-robin", 7)
	waiter := w.confirmLater(time.Minute)
	second := w.kernel.Text()
	ended := w.wait(waiter.token, time.Minute)
	if _, err := w.operator().Apply(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "ftpvip confirm") {
		t.Errorf("another apply meanwhile: %v", err)
	}
	if _, err := w.operator().Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the process that waits: %v", err)
	}
	w.clock.pass(time.Hour)
	if w.kernel.Text() != second {
		t.Error("the table has changed after it was confirmed")
	}
	if _, err := w.operator().Confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing waits") {
		t.Errorf("confirmed again: %v", err)
	}
}

// wait is the process that waits for a confirmation, with the fakes.
func (w *world) wait(token string, after time.Duration) <-chan error {
	ended := make(chan error, 1)
	o := w.operator()
	over := w.clock.After(after)
	go func() { ended <- o.awaitUntil(w.t.Context(), token, over) }()
	return ended
}

// TestConfirmExpires: nobody confirms, and what was in force before comes back, once.
func TestConfirmExpires(t *testing.T) {
	w := newWorld(t)
	w.apply()
	first := w.kernel.Text()
	w.configure("round-robin", 7)
	waiter := w.confirmLater(time.Minute)
	ended := w.wait(waiter.token, time.Minute)
	w.clock.pass(59 * time.Second)
	select {
	case err := <-ended:
		t.Fatalf("the process that waits has ended before its time: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if w.kernel.Text() == first {
		t.Fatal("it was rolled back before its time")
	}
	w.clock.pass(time.Second)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if w.kernel.Text() != first {
		t.Error("it was not rolled back")
	}
	if _, err := w.operator().Confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "the last change was a rollback") {
		t.Errorf("confirmed too late: %v", err)
	}
	commits := w.kernel.Commits()
	if err := w.operator().rollBackIf(t.Context(), waiter.token); err != nil || w.kernel.Commits() != commits {
		t.Errorf("rolled back again: %v, %d transactions", err, w.kernel.Commits()-commits)
	}
}

// TestWaiterOfAnotherApply: the process that waits for one apply leaves a later one alone.
func TestWaiterOfAnotherApply(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.configure("round-robin", 7)
	first := w.confirmLater(time.Minute)
	if _, err := w.operator().Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.configure("random", 7)
	second := w.confirmLater(time.Hour)
	before := w.snapshot()
	if err := w.operator().rollBackIf(t.Context(), first.token); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.snapshot()); diff != "" {
		t.Errorf("the process of the first apply has changed something (-before +after)\n%s", diff)
	}
	if waits, err := w.operator().waits(first.token); err != nil || waits {
		t.Errorf("the first one waits: %v, %v", waits, err)
	}
	if waits, err := w.operator().waits(second.token); err != nil || !waits {
		t.Errorf("the second one waits: %v, %v", waits, err)
	}
}

// TestWaiterDied: the process that should have rolled back is gone. The next change of slots or table does its work.
func TestWaiterDied(t *testing.T) {
	w := newWorld(t)
	w.apply()
	first := w.kernel.Text()
	w.configure("round-robin", 7)
	w.confirmLater(time.Minute)
	w.clock.pass(time.Minute + 2*overdueGrace)
	if _, err := w.operator().Apply(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "never confirmed") {
		t.Errorf("it says %v", err)
	}
	if w.kernel.Text() != first {
		t.Error("it was not rolled back")
	}
	w.apply()
	w.inStep()
}

// TestConfirmAfterReboot: the host restarts before an apply is confirmed. The apply of the boot brings the configuration
// before it into force, and it is too late to confirm.
func TestConfirmAfterReboot(t *testing.T) {
	w := newWorld(t)
	w.apply()
	first := w.kernel.Text()
	w.configure("round-robin", 7)
	w.confirmLater(time.Hour)
	w.kernel.Restart()
	w.addresses.held, w.carrier.registered, w.clock.boot = nil, false, "second"
	done, err := w.operator().Apply(t.Context(), 0)
	if err != nil || done != nil {
		t.Fatalf("%+v, %v, want a rollback instead", done, err)
	}
	if w.kernel.Text() != first || len(w.addresses.held) != 2 || !w.carrier.registered {
		t.Errorf("the host has addresses %v, carrier %v, table\n%s", w.addresses.held, w.carrier.registered, w.kernel.Text())
	}
	if _, err := w.operator().Confirm(t.Context()); err == nil || !strings.Contains(err.Error(), "the last change was a rollback") {
		t.Errorf("confirmed: %v", err)
	}
	w.apply()
	w.inStep()
}

// TestNothingToConfirm: an apply that has nothing to go back to does not promise to.
func TestNothingToConfirm(t *testing.T) {
	w := newWorld(t)
	o, waiter := w.operator(), &fakeWaiter{}
	o.Waiter = waiter
	if done, err := o.Apply(t.Context(), time.Minute); err != nil || waiter.token == "" {
		t.Fatalf("the first apply goes back to nothing: %+v, %v", done, err)
	}
	if _, err := w.operator().Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Waiter = &fakeWaiter{}
	if done, err := o.Apply(t.Context(), time.Minute); err != nil || !strings.Contains(done.Pending, "nothing to confirm") {
		t.Errorf("the same again: %+v, %v", done, err)
	}
	if err := (inforce.Record{}).Save(w.dir); err != nil {
		t.Fatal(err)
	}
	w.configure("random", 7)
	before := w.kernel.Text()
	if _, err := o.Apply(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), "no way back") {
		t.Errorf("with a table of nobody's: %v", err)
	}
	if w.kernel.Text() != before {
		t.Error("the table has changed")
	}
}
