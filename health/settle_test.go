package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// play has rounds of a pool of three backends with rise and fall of 1; each round is a word of + and -, one for each.
// It returns for each round the statuses, with k for a backend that is kept and m where it is a member.
func play(t *testing.T, h configs.Health, admin map[configs.Ref]string, rounds string) (got []string, all []judge.Event) {
	t.Helper()
	h.Check, h.Rise, h.Fall = configs.CheckTCP, 1, 1
	p := configs.Pool{Name: "farm", Health: h}
	for i := range 3 {
		p.Backends = append(p.Backends, configs.Backend{Name: fmt.Sprint("b", i), Port: 21, Addrs: addrs(t, fmt.Sprint("10.0.0.", i+1))})
	}
	cfg := &configs.Config{Pools: []configs.Pool{p}}
	fake := &fakeProbe{}
	var f File
	now := t0
	for round := range strings.FieldsSeq(rounds) {
		now = now.Add(time.Second)
		o := Options{Probes: fake.options().Probes, Now: func() time.Time { return now }, Admin: admin}
		found := Found{begin: now, end: now}
		plan := makePlan(cfg, f, o.Probes, nil)
		results := map[job]judge.Result{}
		for i, j := range plan.jobs {
			if round[i] == '-' {
				results[j] = refusal
			}
		}
		for ref, jobs := range plan.needs {
			found.add(ref, lookOf(jobs, results))
		}
		next, report, events := Settle(cfg, f, found, o)
		var s strings.Builder
		for i, b := range report.Pools[0].Backends {
			s.WriteByte("uUD"[b.Status])
			if next.Backends[configs.Ref{Pool: "farm", Backend: p.Backends[i].Name}].Kept {
				s.WriteByte('k')
			}
			if b.Member {
				s.WriteByte('m')
			}
		}
		got, all, f = append(got, s.String()), append(all, events...), next
	}
	return got, all
}

func TestOnAllDown(t *testing.T) {
	last := configs.Health{OnAllDown: configs.AllDownKeepLast}
	drained := map[configs.Ref]string{{Pool: "farm", Backend: "b2"}: "drained"}
	tests := []struct {
		name   string
		health configs.Health
		admin  map[configs.Ref]string
		rounds string
		want   string
	}{
		{"empty", configs.Health{OnAllDown: configs.AllDownEmpty}, nil, "+++ ---", "UmUmUm DDD"},
		{"all at once are all kept", last, nil, "+++ --- --- +-- +++", "UmUmUm DkmDkmDkm DkmDkmDkm UmDD UmUmUm"},
		{"the last one is kept", last, nil, "+++ -++ --+ --- --- -+- +++", "UmUmUm DUmUm DDUm DDDkm DDDkm DUmD UmUmUm"},
		{"never up", last, nil, "---", "DkmDkmDkm"},
		{"who was taken out does not count", last, drained, "+++ --+ --- -++", "UmUmU DkmDkmU DkmDkmD DUmU"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := play(t, tt.health, tt.admin, tt.rounds)
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	admin := map[configs.Ref]string{{Pool: "farm", Backend: "b1"}: "drained"}
	_, events := play(t, configs.Health{OnAllDown: configs.AllDownKeepLast, Flap: configs.Flap{Changes: 1, Window: time.Minute}}, admin,
		"+++ --+ +-- --- ++- +++")
	var got []string
	for _, e := range events {
		got = append(got, e.String())
	}
	want := []string{
		"farm/b0: up -> down: connect: 10.0.0.1:21: connection refused; takes no new clients",
		"farm/b1: up -> down (drained by an admin): connect: 10.0.0.2:21: connection refused",
		"farm/b0: stays down; it flaps, and is held down until 2025-06-01T12:01:03Z",
		"farm/b2: up -> down: connect: 10.0.0.3:21: connection refused; keeps its slots, for nobody else is left (on_all_down: keep-last)",
		"farm/b1: stays down (drained by an admin); it flaps, and is held down until 2025-06-01T12:01:05Z",
		"farm/b2: stays down; it flaps, and is held down until 2025-06-01T12:01:06Z",
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "stays down: : ", "stays down: ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSettlePart: who was not looked at stays as he was, and is reported all the same.
func TestSettlePart(t *testing.T) {
	cfg := &configs.Config{Pools: []configs.Pool{pool("farm", configs.CheckTCP,
		configs.Backend{Name: "a", Addrs: addrs(t, "10.0.0.1"), Port: 21}, configs.Backend{Name: "b", Addrs: addrs(t, "10.0.0.2"), Port: 21})}}
	b := configs.Ref{Pool: "farm", Backend: "b"}
	prev := File{Backends: map[configs.Ref]judge.State{b: {Status: judge.Down, Since: t0, Rise: 1, Last: judge.NewOutcome(refusal)}}}
	found := Found{begin: t0, end: t0, looks: map[configs.Ref][]look{{Pool: "farm", Backend: "a"}: {{}}}}
	next, report, _ := Settle(cfg, prev, found, Options{})
	if !cmp.Equal(next.Backends[b], prev.Backends[b]) || report.Pools[0].Backends[1].Reason != refusal.Reason {
		t.Errorf("%+v\n%+v", next.Backends[b], report.Pools[0].Backends[1])
	}
}
