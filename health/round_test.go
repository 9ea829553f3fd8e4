package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/health/judge"
	"ftpvip/health/probe"
)

// fakeProbe answers by address from a table and keeps count. An address that is not in the table is a black hole.
type fakeProbe struct {
	mu      sync.Mutex
	answers map[netip.AddrPort]judge.Result
	calls   []probe.Target
	now     atomic.Int64
	most    int64
}

func (p *fakeProbe) probe(ctx context.Context, t probe.Target) judge.Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	n := p.now.Add(1)
	defer p.now.Add(-1)
	p.mu.Lock()
	p.calls = append(p.calls, t)
	p.most = max(p.most, n)
	r, ok := p.answers[t.Addr]
	p.mu.Unlock()
	if !ok {
		<-ctx.Done()
		return judge.Result{Step: judge.StepConnect, Reason: "no answer", Err: ctx.Err(), Took: t.Timeout}
	}
	time.Sleep(time.Millisecond)
	return r
}

func (p *fakeProbe) options() Options {
	return Options{Probes: probe.Set{configs.CheckTCP: p.probe, configs.CheckFTPBanner: p.probe}}
}

// round is Look and Settle.
func round(ctx context.Context, cfg *configs.Config, prev File, o Options) (next File, report Report, err error) {
	found, err := Look(ctx, cfg, prev, o)
	if err != nil {
		return prev, Report{}, err
	}
	next, report, _ = Settle(cfg, prev, found, o)
	return next, report, nil
}

func addrs(t *testing.T, list ...string) configs.Addrs {
	t.Helper()
	var a configs.Addrs
	for _, s := range list {
		if ip := netip.MustParseAddr(s); ip.Is4() {
			a.V4 = ip
		} else {
			a.V6 = ip
		}
	}
	return a
}

func pool(name string, check configs.Check, backends ...configs.Backend) configs.Pool {
	return configs.Pool{
		Name: name, Backends: backends,
		Health: configs.Health{Check: check, Timeout: 3 * time.Second, Rise: 2, Fall: 3},
	}
}

var t0 = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

var refusal = judge.Fail(judge.StepConnect, "connection refused", errors.New("refused"))

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// linked makes all VIPs use the first pool.
func linked(cfg *configs.Config) *configs.Config {
	for i := range cfg.VIPs {
		cfg.VIPs[i].Pool = &cfg.Pools[0]
	}
	cfg.Link()
	return cfg
}

// TestRoundFamilies: which addresses of a backend are looked at, and what their results make of it.
func TestRoundFamilies(t *testing.T) {
	both := configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1", "fd00::1"), Port: 21}
	only4 := configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}
	vip := func(list ...string) configs.VIP { return configs.VIP{Addrs: addrs(t, list...)} }
	ok4, ok6 := ap("10.0.0.1:21"), ap("[fd00::1]:21")
	local := judge.Fail(judge.StepLocal, "no descriptors", nil)
	tests := []struct {
		name    string
		vips    []configs.VIP
		backend configs.Backend
		answers map[netip.AddrPort]judge.Result
		want    string // status, step, reason
		probed  int
	}{
		{"both good", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: {}}, "up : ", 2},
		{"IPv6 bad", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: refusal}, "down connect: [fd00::1]:21: connection refused", 2},
		{"IPv6 of another VIP bad", []configs.VIP{vip("192.0.2.1"), vip("2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: refusal}, "down connect: [fd00::1]:21: connection refused", 2},
		{"IPv6 bad but not served", []configs.VIP{vip("192.0.2.1")}, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: refusal}, "up : ", 1},
		{"both bad", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: refusal, ok6: refusal}, "down connect: 10.0.0.1:21: connection refused; [fd00::1]:21: connection refused", 2},
		{"no VIP", nil, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: refusal}, "down connect: [fd00::1]:21: connection refused", 2},
		{"family without address", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, only4, map[netip.AddrPort]judge.Result{ok4: {}}, "up : ", 1},
		{"no address of the family", []configs.VIP{vip("2001:db8::1")}, only4, map[netip.AddrPort]judge.Result{ok4: refusal}, "down connect: 10.0.0.1:21: connection refused", 1},
		{"inconclusive", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: {}, ok6: local}, "unknown local: [fd00::1]:21: no descriptors", 2},
		{"inconclusive and bad", []configs.VIP{vip("192.0.2.1", "2001:db8::1")}, both, map[netip.AddrPort]judge.Result{ok4: local, ok6: refusal}, "down connect: [fd00::1]:21: connection refused", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pool("farm", configs.CheckTCP, tt.backend)
			p.Health.Fall = 1
			fake := &fakeProbe{answers: tt.answers}
			_, report, err := round(t.Context(), linked(&configs.Config{VIPs: tt.vips, Pools: []configs.Pool{p}}), File{}, fake.options())
			if err != nil {
				t.Fatal(err)
			}
			b := report.Pools[0].Backends[0]
			if got := fmt.Sprintf("%v %s: %s", b.Status, b.Step, b.Reason); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if len(fake.calls) != tt.probed || len(b.Addresses) != tt.probed {
				t.Errorf("probed %v, reported %v", fake.calls, b.Addresses)
			}
		})
	}
}

// TestRoundShares: one probe for one address, check and timeout, however many backends have it.
func TestRoundShares(t *testing.T) {
	b := configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}
	slow := pool("slow", configs.CheckTCP, b)
	slow.Health.Timeout = 5 * time.Second
	cfg := &configs.Config{Pools: []configs.Pool{
		pool("p1", configs.CheckTCP, b), pool("p2", configs.CheckTCP, b), pool("p3", configs.CheckFTPBanner, b), slow,
	}}
	fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{ap("10.0.0.1:21"): {}}}
	next, report, err := round(t.Context(), cfg, File{}, fake.options())
	if err != nil || len(fake.calls) != 3 {
		t.Errorf("%d probes, error %v", len(fake.calls), err)
	}
	if len(next.Backends) != 4 || len(report.Pools) != 4 || len(report.Empty()) > 0 {
		t.Errorf("%+v", report)
	}
}

// TestRoundHysteresis plays several rounds over a real state directory.
func TestRoundHysteresis(t *testing.T) {
	dir := t.TempDir()
	good, bad := ap("10.0.0.1:21"), ap("10.0.0.2:21")
	cfg := linked(&configs.Config{
		VIPs: []configs.VIP{{Addrs: addrs(t, "192.0.2.1")}},
		Pools: []configs.Pool{pool("farm", configs.CheckTCP,
			configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}, configs.Backend{Name: "b", Addrs: addrs(t, "10.0.0.2"), Port: 21})},
	})
	fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{good: {}, bad: {}}}
	o := fake.options()
	now := t0
	o.Now = func() time.Time { return now }
	var got []string
	for i := range 9 {
		fake.answers[bad] = judge.Result{}
		if i >= 2 && i < 6 {
			fake.answers[bad] = refusal
		}
		now = now.Add(5 * time.Second)
		f, warnings, err := Load(dir, cfg)
		if err != nil || len(warnings) > 0 {
			t.Fatal(warnings, err)
		}
		f, report, err := round(t.Context(), cfg, f, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Save(dir); err != nil {
			t.Fatal(err)
		}
		b := report.Pools[0].Backends[1]
		got = append(got, strings.TrimRight(fmt.Sprintf("%v %d %d %d down=%d %v", b.Status, b.Rise, b.Fall, report.Pools[0].Members, len(f.Down()), b.Transition), " "))
	}
	want := []string{
		"up 0 0 2 down=0 unknown -> up", "up 0 0 2 down=0", "up 0 1 2 down=0", "up 0 2 2 down=0", "down 0 0 1 down=1 up -> down",
		"down 0 0 1 down=1", "down 1 0 1 down=1", "up 0 0 2 down=0 down -> up", "up 0 0 2 down=0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRoundNoneAndMissing(t *testing.T) {
	b := configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}
	cfg := &configs.Config{Pools: []configs.Pool{pool("free", configs.CheckNone, b), pool("later", "telepathy", b)}}
	prev := File{Backends: map[configs.Ref]judge.State{
		{Pool: "free", Backend: "a"}:  {Status: judge.Down, Since: t0},
		{Pool: "later", Backend: "a"}: {Status: judge.Down, Since: t0},
		{Pool: "gone", Backend: "a"}:  {Status: judge.Down, Since: t0},
	}}
	next, report, err := round(t.Context(), cfg, prev, Options{Now: func() time.Time { return t0.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[configs.Ref]bool{{Pool: "later", Backend: "a"}: true}, next.Down()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(next.Backends) != 2 {
		t.Errorf("kept %v", next.Backends)
	}
	want := []string{"pool later: 1 of 1 backends could not be judged and stay as they were; a: this program has no check telepathy"}
	if diff := cmp.Diff(want, report.Warnings); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"later"}, report.Empty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if st := next.Backends[configs.Ref{Pool: "free", Backend: "a"}]; st.Status != judge.Up {
		t.Errorf("check none left %+v", st)
	}
}

// TestRoundCancelled: an interrupted round judges nobody.
func TestRoundCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := bigFarm(10, nil)
		fake := &fakeProbe{}
		prev := File{Backends: map[configs.Ref]judge.State{{Pool: "farm", Backend: "b0"}: {Status: judge.Up, Fall: 2}}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		next, _, err := round(ctx, cfg, prev, fake.options())
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if diff := cmp.Diff(prev, next); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// bigFarm returns a pool of n backends; answers, where given, gets a success for all but three of each ten.
func bigFarm(n int, answers map[netip.AddrPort]judge.Result) *configs.Config {
	p := pool("farm", configs.CheckTCP)
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		p.Backends = append(p.Backends, configs.Backend{Name: fmt.Sprintf("b%d", i), Addrs: configs.Addrs{V4: a}, Port: 21})
		if answers != nil && i%10 >= 3 {
			answers[netip.AddrPortFrom(a, 21)] = judge.Result{}
		}
	}
	return &configs.Config{Pools: []configs.Pool{p}}
}

// TestRoundTime: a thousand backends, three in ten of them black holes, within one timeout and a second.
func TestRoundTime(t *testing.T) {
	for _, sockets := range []int{0, 512, 64} {
		synctest.Test(t, func(t *testing.T) {
			fake := &fakeProbe{answers: make(map[netip.AddrPort]judge.Result)}
			cfg := bigFarm(1000, fake.answers)
			o := fake.options()
			o.Sockets = sockets
			start := time.Now()
			next, report, err := round(t.Context(), cfg, File{}, o)
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 4*time.Second {
				t.Errorf("%d sockets: the round took %v", sockets, d)
			}
			if limit := int64(o.withDefaults().Sockets); fake.most > limit {
				t.Errorf("%d probes at once, the limit is %d", fake.most, limit)
			}
			if sockets != 64 {
				if len(fake.calls) != 1000 || len(report.Warnings) > 0 {
					t.Errorf("%d sockets: %d probes, warnings %q", sockets, len(fake.calls), report.Warnings)
				}
				return
			}
			// Too few sockets: who had none is not judged, is told, and comes first in the next round.
			if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "1000 addresses, 64 sockets, too many of them dead") {
				t.Errorf("warnings %q", report.Warnings)
			}
			had := len(fake.calls)
			missed := slices.DeleteFunc(slices.Clone(cfg.Pools[0].Backends), func(b configs.Backend) bool {
				return !next.Backends[configs.Ref{Pool: "farm", Backend: b.Name}].Checked.IsZero()
			})
			if had+len(missed) != 1000 {
				t.Errorf("%d had a socket, %d were not judged", had, len(missed))
			}
			fake.calls = nil
			if _, _, err := round(t.Context(), cfg, next, o); err != nil {
				t.Fatal(err)
			}
			first := make(map[netip.Addr]bool)
			for _, c := range fake.calls[:64] {
				first[c.Addr.Addr()] = true
			}
			for _, b := range missed[:64] {
				if !first[b.Addrs.V4] {
					t.Fatalf("%s was left out and is not among the first now", b.Name)
				}
			}
		})
	}
}

// serve starts a server that greets each connection with a text. It returns the server's address.
func serve(t *testing.T, host, text string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, text)
				_, _ = conn.Read(make([]byte, 64)) // until the client says something, or has gone
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// closedPort returns an address of host where nothing listens.
func closedPort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestRoundReal runs the real probes against real servers, good, bad and silent ones together.
func TestRoundReal(t *testing.T) {
	at := func(name string, a netip.AddrPort) configs.Backend {
		b := configs.Backend{Name: name, Port: a.Port()}
		if a.Addr().Is4() {
			b.Addrs.V4 = a.Addr()
		} else {
			b.Addrs.V6 = a.Addr()
		}
		return b
	}
	p := pool("farm", configs.CheckFTPBanner,
		at("good", serve(t, "127.0.0.1", "220 ready\r\n")),
		at("good6", serve(t, "::1", "220-a\r\n220 b\r\n")),
		at("full", serve(t, "127.0.0.1", "421 full\r\n")),
		at("silent", serve(t, "127.0.0.1", "")),
		at("closed", closedPort(t, "127.0.0.1")),
		at("late", serve(t, "127.0.0.1", "120 in a minute\r\n")))
	p.Health.Fall = 1
	p.Health.Timeout = 700 * time.Millisecond
	start := time.Now()
	next, report, err := round(t.Context(), &configs.Config{Pools: []configs.Pool{p}}, File{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > p.Health.Timeout+time.Second {
		t.Errorf("the round took %v", d)
	}
	steps := make(map[string]judge.Step)
	for _, b := range report.Pools[0].Backends {
		steps[b.Name] = b.Step
	}
	want := map[string]judge.Step{"good": "", "good6": "", "full": judge.StepBanner, "silent": judge.StepBanner, "closed": judge.StepConnect, "late": judge.StepBanner}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(next.Down()) != 4 || report.Pools[0].Members != 2 {
		t.Errorf("down %v, members %d", next.Down(), report.Pools[0].Members)
	}
}

func TestMemberless(t *testing.T) {
	cfg := linked(&configs.Config{
		VIPs: []configs.VIP{{Addrs: addrs(t, "192.0.2.1", "2001:db8::1")}},
		Pools: []configs.Pool{pool("farm", configs.CheckTCP,
			configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}, configs.Backend{Name: "b", Addrs: addrs(t, "fd00::2"), Port: 21})},
	})
	fake := &fakeProbe{answers: map[netip.AddrPort]judge.Result{ap("10.0.0.1:21"): {}, ap("[fd00::2]:21"): refusal}}
	prev := File{Backends: map[configs.Ref]judge.State{{Pool: "farm", Backend: "b"}: {Status: judge.Down}}}
	_, report, err := round(t.Context(), cfg, prev, fake.options())
	if err != nil {
		t.Fatal(err)
	}
	if p := report.Pools[0]; p.Members != 1 || !slices.Equal(p.Memberless, []int{6}) || !slices.Equal(report.Empty(), []string{"farm"}) {
		t.Errorf("%+v", p)
	}
}

func TestReportJSONOfNothing(t *testing.T) {
	_, report, err := round(t.Context(), &configs.Config{}, File{}, Options{Now: func() time.Time { return t0 }})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(report)
	if want := `{"time":"2025-06-01T12:00:00Z","duration_ms":0,"pools":[]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

// BenchmarkRound is what a round of 1,000 backends costs beside its probes.
func BenchmarkRound(b *testing.B) {
	answers := make(map[netip.AddrPort]judge.Result)
	cfg := bigFarm(1000, answers)
	o := Options{Probes: probe.Set{configs.CheckTCP: func(_ context.Context, t probe.Target) judge.Result { return answers[t.Addr] }}}
	var f File
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if f, _, err = round(b.Context(), cfg, f, o); err != nil {
			b.Fatal(err)
		}
	}
}
