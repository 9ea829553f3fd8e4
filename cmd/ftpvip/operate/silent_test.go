package operate

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/probe"
)

// round is one round of checks of a farm in which all answer.
func (w *world) round() health.Report {
	w.t.Helper()
	o := w.operator()
	farm := &flapping{}
	farm.rounds.Store(1)
	o.Probes = probe.Set{configs.CheckTCP: farm.probe}
	var got health.Report
	if err := o.Round(w.t.Context(), func(r health.Report) error { got = r; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return got
}

// edit replaces text in the configuration file.
func (w *world) edit(old, text string) {
	w.t.Helper()
	b, err := os.ReadFile(w.file)
	if err != nil || !strings.Contains(string(b), old) {
		w.t.Fatal(old, err)
	}
	if err := os.WriteFile(w.file, []byte(strings.Replace(string(b), old, text, 1)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestRoundRestores: a round puts back what somebody removed, says so, and the next one finds all well.
func TestRoundRestores(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*world)
		state  health.TableState
	}{
		{"the table is gone", func(w *world) { w.kernel.Restart() }, health.TableMissing},
		{"the address is gone", func(w *world) { w.addresses.held = w.addresses.held[:1] }, health.TableDiffers},
		{"the carrier is gone", func(w *world) { w.carrier.registered = false; w.kernel.Restart() }, health.TableMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.apply()
			w.round()
			before := w.kernel.Text()
			tt.damage(w)
			r := w.round()
			if r.Table == nil || r.Table.State != tt.state || !r.Table.Restored || !r.Table.Whole() || w.kernel.Text() != before {
				t.Errorf("%+v, the table is\n%s", r.Table, w.kernel.Text())
			}
			w.inStep()
			if !strings.Contains(w.said.String(), "level=WARN") || !strings.Contains(w.said.String(), "RESTORED") {
				t.Errorf("the log: %s", w.said)
			}
			if r := w.round(); r.Table.State != health.TableWhole || r.Table.Restored {
				t.Errorf("the next round: %+v", r.Table)
			}
		})
	}
}

// TestRestoreOff: with restore: off a round changes nothing and says so; what an admin flushed stays away.
func TestRestoreOff(t *testing.T) {
	w := newWorld(t)
	w.edit("fall: 1}", "fall: 1, restore: off}")
	w.apply()
	w.kernel.Restart()
	r := w.round()
	if r.Table.State != health.TableMissing || r.Table.Whole() || w.kernel.Text() != "" || !strings.Contains(w.said.String(), "level=ERROR") {
		t.Errorf("%+v, the log: %s", r.Table, w.said)
	}
	w.apply()
	if _, err := w.operator().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := w.round(); r.Table.State != health.TableNone || w.kernel.Text() != "" {
		t.Errorf("after flush: %+v\n%s", r.Table, w.kernel.Text())
	}
}

// TestBrokenFile: with a slip in the file checks, status and decisions go on with what was applied, and say so.
func TestBrokenFile(t *testing.T) {
	w := newWorld(t)
	w.apply()
	w.edit("addresses: [192.0.2.10", "adresses: [192.0.2.10")
	if _, err := w.operator().Apply(t.Context(), 0); err == nil {
		t.Fatal("apply takes it")
	}
	r := w.round()
	if len(r.Pools) != 1 || r.Pools[0].Members != 2 || !strings.Contains(r.ConfigError, "adresses") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(w.said.String(), "what was applied stays in force") {
		t.Errorf("the log: %s", w.said)
	}
	s, err := w.operator().Status(t.Context())
	if err != nil || len(s.VIPs) != 1 || len(s.Problems) == 0 || !strings.Contains(s.Problems[0], "addresses: the key is missing") {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := w.operator().SetWeight(t.Context(), ref("a"), 3); err != nil {
		t.Error(err)
	}
}

// TestNothingApplied: with a broken file and nothing in force there is nothing to go on with.
func TestNothingApplied(t *testing.T) {
	w := newWorld(t)
	w.edit("addresses: [192.0.2.10", "adresses: [192.0.2.10")
	_, err := w.operator().Status(t.Context())
	if _, ok := errors.AsType[*configs.Error](err); !ok {
		t.Errorf("it says %v", err)
	}
}

// TestStatusProblems: a status says what is wrong first.
func TestStatusProblems(t *testing.T) {
	w := newWorld(t)
	problems := func() string {
		s, err := w.operator().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(s.Problems, "\n")
	}
	if p := problems(); !strings.Contains(p, "nothing is applied") {
		t.Errorf("before apply: %q", p)
	}
	w.apply()
	w.round()
	if p := problems(); strings.Count(p, "\n") != 0 || !strings.Contains(p, "NOT LISTENING") {
		t.Errorf("without a helper: %q", p)
	}
	w.kernel.Restart()
	if p := problems(); !strings.Contains(p, "somebody removed it") {
		t.Errorf("without a table: %q", p)
	}
	w.clock.pass(time.Hour)
	if p := problems(); !strings.Contains(p, "nobody checks the servers") {
		t.Errorf("without checks: %q", p)
	}
}

// TestNoPasswordKept: no file of the state directory has the password of checks, and checks have it also where the file is broken.
func TestNoPasswordKept(t *testing.T) {
	w := newWorld(t)
	w.edit("check: tcp,", "check: ftp-login, user: probe, password: s3cret,")
	w.apply()
	for name, text := range w.snapshot() {
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s has the password:\n%s", name, text)
		}
	}
	w.edit("addresses: [192.0.2.10", "adresses: [192.0.2.10")
	in, err := w.operator().serving()
	if err != nil || in.broken == nil || in.cfg.Pools[0].Health.Password != "s3cret" {
		t.Errorf("%+v, %v", in, err)
	}
	w.edit("s3cret", "other") // an apply of another password alone is none of another configuration
	w.edit("adresses: [192.0.2.10", "addresses: [192.0.2.10")
	if s, err := w.operator().Status(t.Context()); err != nil || strings.Contains(strings.Join(s.Problems, " "), "configuration") {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestClockJumps: an apply that waits for its confirmation waits as long as was said, whatever the clock on the wall does.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour} {
		w := newWorld(t)
		w.apply()
		before := w.kernel.Text()
		w.configure("round-robin", 7)
		w.confirmLater(time.Minute)
		w.clock.jump(jump)
		w.round()
		if w.kernel.Text() == before {
			t.Errorf("a jump by %v: rolled back too early", jump)
		}
		w.clock.pass(time.Minute + 2*overdueGrace)
		w.round()
		if w.kernel.Text() != before || strings.Contains(w.said.String(), "table-differs") {
			t.Errorf("a jump by %v: not rolled back, the log: %s", jump, w.said)
		}
	}
}
