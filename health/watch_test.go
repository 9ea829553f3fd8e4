package health

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// TestWatch has one backend that answers and one black hole: each is looked at by its own interval, and nobody waits for
// the other.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := netip.MustParseAddrPort("10.0.0.1:21")
		p := pool("farm", configs.CheckTCP, configs.Backend{Name: "good", Addrs: configs.Addrs{V4: good.Addr()}, Port: 21},
			configs.Backend{Name: "dead", Addrs: addrs(t, "10.0.0.2"), Port: 21})
		p.Health.Interval, p.Health.IntervalDown = 200*time.Millisecond, time.Second
		cfg := &configs.Config{Pools: []configs.Pool{p, pool("free", configs.CheckNone, configs.Backend{Name: "x", Addrs: addrs(t, "10.0.0.3")})}}
		fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{good: {}}}
		ctx, cancel := context.WithCancel(t.Context())
		var known File
		var longest time.Duration
		last := time.Now()
		w := Watch{Options: fake.options(), Config: func() *configs.Config { return cfg }, Found: func(f Found) (File, bool) {
			longest = max(longest, time.Since(last))
			last = time.Now()
			known, _, _ = Settle(cfg, known, f, fake.options())
			return known, true
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
		for name, want := range map[string]judge.Status{"farm/good": judge.Up, "farm/dead": judge.Down, "free/x": judge.Up} {
			for ref, st := range known.Backends {
				if ref.String() == name && st.Status != want {
					t.Errorf("%s is %v", name, st.Status)
				}
			}
		}
	})
}

// TestWatchGoesOn: while Found waits for a lock or resets sessions, backends are looked at as before, and all that was
// found meanwhile is judged at once.
func TestWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := netip.MustParseAddrPort("10.0.0.1:21")
		p := pool("farm", configs.CheckTCP, configs.Backend{Name: "a", Addrs: configs.Addrs{V4: at.Addr()}, Port: 21})
		p.Health.Interval, p.Health.IntervalDown = 200*time.Millisecond, 200*time.Millisecond
		p.Health.Fall = 5
		cfg := &configs.Config{Pools: []configs.Pool{p}}
		ref := configs.Ref{Pool: "farm", Backend: "a"}
		fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{at: refusal}}
		ctx, cancel := context.WithCancel(t.Context())
		var known File
		var during int         // looks while the first Found was at work
		var after judge.Status // what the second made of them
		calls, running := 0, 0
		w := Watch{Options: fake.options(), Config: func() *configs.Config { return cfg }, Found: func(f Found) (File, bool) {
			if running++; running > 1 {
				t.Error("two at once")
			}
			calls++
			known, _, _ = Settle(cfg, known, f, fake.options())
			switch calls {
			case 1:
				fake.mu.Lock()
				before := len(fake.calls)
				fake.mu.Unlock()
				time.Sleep(3 * time.Second)
				fake.mu.Lock()
				during = len(fake.calls) - before
				fake.mu.Unlock()
			case 2:
				after = known.Backends[ref].Status
				cancel()
				time.Sleep(time.Second) // Run waits for it
			}
			running--
			return known, true
		}}
		w.Run(ctx, File{})
		if calls != 2 || during < 13 || after != judge.Down || running != 0 {
			t.Errorf("%d calls, looked %d times in 3 s at a backend every 200 ms, then it is %v", calls, during, after)
		}
	})
}

// TestWatchKeepsUnjudged: what could not be judged, as somebody had the lock, is there at the next call, in its order.
func TestWatchKeepsUnjudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := netip.MustParseAddrPort("10.0.0.1:21")
		p := pool("farm", configs.CheckTCP, configs.Backend{Name: "a", Addrs: configs.Addrs{V4: at.Addr()}, Port: 21})
		p.Health.Interval = 5 * time.Second
		cfg := &configs.Config{Pools: []configs.Pool{p}}
		ref := configs.Ref{Pool: "farm", Backend: "a"}
		fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{at: {Took: 1}}}
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		var got []time.Duration
		w := Watch{Options: fake.options(), Config: func() *configs.Config { return cfg }, Found: func(f Found) (File, bool) {
			calls++
			fake.mu.Lock()
			fake.answers[at] = judge.Result{Took: time.Duration(len(fake.calls) + 1)}
			fake.mu.Unlock()
			if len(f.looks[ref]) < 3 {
				return File{}, false
			}
			for _, l := range f.looks[ref] {
				got = append(got, l[0].Took)
			}
			cancel()
			return File{}, true
		}}
		w.Run(ctx, File{})
		if !slices.Equal(got, []time.Duration{1, 2, 3}) {
			t.Errorf("judged %v", got)
		}
		if calls < 10 || calls > 15 { // once a second, and when something was found
			t.Errorf("%d calls in 10 s", calls)
		}
	})
}

// TestWaitingIsBounded: results that nobody judges do not pile up.
func TestWaitingIsBounded(t *testing.T) {
	var f Found
	ref := configs.Ref{Pool: "farm", Backend: "a"}
	for range 10 * maxWaiting {
		f.add(ref, look{})
	}
	f.add(ref, look{{Result: refusal}})
	if n := len(f.looks[ref]); n != maxWaiting || len(f.last(ref)) != 1 {
		t.Errorf("%d wait", n)
	}
	var later Found
	later.add(ref, look{{Result: refusal}, {Result: refusal}})
	later.addBefore(f)
	if n := len(later.looks[ref]); n != maxWaiting || len(later.last(ref)) != 2 || len(later.looks[ref][n-2]) != 1 {
		t.Errorf("%d wait", n)
	}
}
