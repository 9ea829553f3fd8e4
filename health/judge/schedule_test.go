package judge

import (
	"testing"
	"time"

	"ftpvip/configs"
)

func TestSchedule(t *testing.T) {
	cfg := &configs.Config{Pools: []configs.Pool{{Name: "farm", Backends: []configs.Backend{{Name: "b0"}, {Name: "b1"}}}}}
	h := configs.Health{Interval: 10 * time.Second, IntervalDown: time.Second, Jitter: 20}
	a, b := configs.Ref{Pool: "farm", Backend: "b0"}, configs.Ref{Pool: "farm", Backend: "b1"}
	for _, tt := range []struct {
		random float64
		status Status
		want   time.Duration
	}{
		{0, Up, 8 * time.Second}, {0.5, Up, 10 * time.Second}, {0.75, Up, 11 * time.Second},
		{0.5, Down, time.Second}, {0, Down, 800 * time.Millisecond}, {0.5, Unknown, 10 * time.Second},
	} {
		s := Schedule{Random: func() float64 { return tt.random }}
		if due, _ := s.Due(cfg, t0, nil); len(due) != 2 {
			t.Fatalf("at first, %v are due", due)
		}
		s.Done(a, h, tt.status, t0)
		s.Done(b, h, tt.status, t0.Add(time.Hour))
		due, soonest := s.Due(cfg, t0.Add(tt.want-time.Millisecond), nil)
		if len(due) != 0 || !soonest.Equal(t0.Add(tt.want)) {
			t.Errorf("%+v: due %v, then at %v", tt, due, soonest.Sub(t0))
		}
		if due, _ = s.Due(cfg, t0.Add(tt.want), map[configs.Ref]bool{a: true}); len(due) != 0 {
			t.Errorf("%+v: busy and due", tt)
		}
		if due, _ = s.Due(cfg, t0.Add(tt.want), nil); !due[a] || due[b] {
			t.Errorf("%+v: due %v", tt, due)
		}
	}
}
