package judge

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

func TestRampPercent(t *testing.T) {
	tests := []struct {
		ago, slowStart time.Duration
		want           int
	}{
		{-time.Second, time.Minute, 10}, // it came back in the last round, which began before that
		{0, time.Minute, 10},
		{11 * time.Second, time.Minute, 10},
		{12 * time.Second, time.Minute, 20},
		{30 * time.Second, time.Minute, 50},
		{59 * time.Second, time.Minute, 90},
		{time.Minute, time.Minute, 100},
		{time.Hour, time.Minute, 100},
		{500 * time.Millisecond, time.Second, 50},
		{59*time.Minute + 59*time.Second, time.Hour, 90},
	}
	for _, tt := range tests {
		if got := rampPercent(tt.ago, tt.slowStart); got != tt.want {
			t.Errorf("%v of %v: %d %%, want %d %%", tt.ago, tt.slowStart, got, tt.want)
		}
	}
}

func TestRamp(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ref := func(pool, backend string) configs.Ref { return configs.Ref{Pool: pool, Backend: backend} }
	backends := []configs.Backend{{Name: "returned"}, {Name: "done"}, {Name: "first"}, {Name: "down"}, {Name: "new"},
		{Name: "drained"}, {Name: "enabled"}, {Name: "readmitted"}}
	cfg := &configs.Config{Pools: []configs.Pool{
		{Name: "slow", SlowStart: time.Minute, Backends: backends},
		{Name: "fast", Backends: backends},
	}}
	states := map[configs.Ref]State{}
	for _, pool := range []string{"slow", "fast"} {
		states[ref(pool, "returned")] = State{Status: Up, Returned: true, Since: now.Add(-30 * time.Second)}
		states[ref(pool, "done")] = State{Status: Up, Returned: true, Since: now.Add(-time.Minute)}
		states[ref(pool, "first")] = State{Status: Up, Since: now.Add(-time.Second)}
		states[ref(pool, "down")] = State{Status: Down, Since: now.Add(-time.Second)}
		states[ref(pool, "drained")] = State{Status: Up, Out: true}
		states[ref(pool, "enabled")] = State{Status: Up, Out: true} // since the last round
		states[ref(pool, "readmitted")] = State{Status: Up, Readmitted: now.Add(-15 * time.Second)}
	}
	out := func(r configs.Ref) bool { return r.Backend == "drained" }
	want := map[configs.Ref]int{ref("slow", "returned"): 50, ref("slow", "enabled"): 10, ref("slow", "readmitted"): 20}
	if diff := cmp.Diff(want, Ramp(cfg, states, now, out)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// An admin takes a backend out and lets it in again, between rounds.
func TestReadmitted(t *testing.T) {
	now := time.Now()
	st := State{Status: Up}
	for i, step := range []struct {
		in, out, readmitted bool
	}{{true, false, false}, {false, true, false}, {false, true, false}, {true, false, true}, {true, false, true}, {false, true, false}} {
		now = now.Add(time.Second)
		before := st.Readmitted
		st = st.admitted(step.in, now)
		if st.Out != step.out || st.Readmitted.IsZero() == step.readmitted {
			t.Errorf("step %d: out %v, readmitted %v", i, st.Out, st.Readmitted)
		}
		if step.in && !before.IsZero() && st.Readmitted != before {
			t.Errorf("step %d: readmitted again", i)
		}
	}
}

// A backend has returned when it comes up from down, not when it is first seen, and until it is down again.
func TestReturned(t *testing.T) {
	now := time.Now()
	good, bad := Result{}, Fail(StepConnect, "refused", nil)
	st := State{}
	for i, step := range []struct {
		r    Result
		want bool
	}{{good, false}, {good, false}, {bad, false}, {good, true}, {good, true}, {bad, false}, {good, true}} {
		now = now.Add(time.Second)
		st, _ = Judge(st, step.r, configs.Health{Rise: 1, Fall: 1}, now)
		if st.Returned != step.want {
			t.Errorf("step %d: %v, returned %v, want %v", i, st.Status, st.Returned, step.want)
		}
	}
}
