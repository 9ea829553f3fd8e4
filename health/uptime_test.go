package health

import (
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// TestAdjusted: times move with the clock on the wall where that jumps, and only then.
func TestAdjusted(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ref := configs.Ref{Pool: "p", Backend: "b"}
	f := File{Round: t0, Up: Uptime{"boot", time.Hour}, Backends: map[configs.Ref]judge.State{
		ref: {Status: judge.Down, Since: t0.Add(-time.Minute), Held: t0.Add(time.Minute), Changes: []time.Time{t0}},
	}}
	for _, tt := range []struct {
		name string
		now  time.Time
		up   Uptime
		want time.Duration // by which times move
	}{
		{"nothing", t0.Add(5 * time.Second), Uptime{"boot", time.Hour + 5*time.Second}, 0},
		{"a little", t0.Add(6 * time.Second), Uptime{"boot", time.Hour + 5*time.Second}, 0},
		{"an hour ahead", t0.Add(time.Hour + 5*time.Second), Uptime{"boot", time.Hour + 5*time.Second}, time.Hour},
		{"an hour back", t0.Add(-time.Hour + 5*time.Second), Uptime{"boot", time.Hour + 5*time.Second}, -time.Hour},
		{"another start of the host", t0.Add(time.Hour), Uptime{"other", time.Second}, 0},
	} {
		got := f.Adjusted(tt.now, tt.up)
		st := got.Backends[ref]
		if !got.Round.Equal(t0.Add(tt.want)) || !st.Held.Equal(t0.Add(time.Minute+tt.want)) || !st.Since.Equal(t0.Add(tt.want-time.Minute)) ||
			!st.Changes[0].Equal(t0.Add(tt.want)) || !st.Checked.IsZero() {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
