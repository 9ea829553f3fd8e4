package health

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"ftpvip/configs"
)

func TestSchedule(t *testing.T) {
	cfg := bigFarm(2, nil)
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

// TestWatch has one backend that answers and one black hole: each is looked at by its own interval, and nobody waits for
// the other.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := netip.MustParseAddrPort("10.0.0.1:21")
		p := pool("farm", configs.CheckTCP, configs.Backend{Name: "good", Addrs: configs.Addrs{V4: good.Addr()}, Port: 21},
			configs.Backend{Name: "dead", Addrs: addrs(t, "10.0.0.2"), Port: 21})
		p.Health.Interval, p.Health.IntervalDown = 200*time.Millisecond, time.Second
		cfg := &configs.Config{Pools: []configs.Pool{p, pool("free", configs.CheckNone, configs.Backend{Name: "x", Addrs: addrs(t, "10.0.0.3")})}}
		fake := &fakeProbe{answers: map[netip.AddrPort]Result{good: {}}}
		ctx, cancel := context.WithCancel(t.Context())
		var known File
		var longest time.Duration
		last := time.Now()
		w := Watch{Options: fake.options(), Config: func() *configs.Config { return cfg }, Found: func(f Found) File {
			longest = max(longest, time.Since(last))
			last = time.Now()
			known, _, _ = Settle(cfg, known, f, fake.options())
			return known
		}}
		time.AfterFunc(20*time.Second, cancel)
		w.Run(ctx, File{})
		count := map[netip.AddrPort]int{}
		for _, c := range fake.calls {
			count[c.Addr]++
		}
		if n := count[good]; n < 85 || n > 101 {
			t.Errorf("looked %d times in 20 s at a backend every 200 ms", n)
		}
		if n := count[netip.MustParseAddrPort("10.0.0.2:21")]; n < 6 || n > 8 {
			t.Errorf("looked %d times at a backend that takes 3 s", n)
		}
		if longest > idle+gather {
			t.Errorf("nothing was told for %v", longest)
		}
		for name, want := range map[string]Status{"farm/good": Up, "farm/dead": Down, "free/x": Up} {
			for ref, st := range known.Backends {
				if ref.String() == name && st.Status != want {
					t.Errorf("%s is %v", name, st.Status)
				}
			}
		}
	})
}
