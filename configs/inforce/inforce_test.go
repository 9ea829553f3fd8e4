package inforce

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

var t0 = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func applied(text string) Applied { return Applied{At: t0, File: "f.yaml", Text: text, Queues: 2} }

func TestApply(t *testing.T) {
	pending := &Pending{Until: t0, Token: "t"}
	old, now := applied("old"), applied("now")
	again := now
	again.At, again.File = t0.Add(time.Hour), "g.yaml"
	otherQueues := now
	otherQueues.Queues = 4
	tests := []struct {
		name   string
		before Record
		next   Applied
		had    bool
		want   Record
	}{
		{"the first", Record{}, now, false, Record{Current: &now, PreviousKnown: true, Pending: pending}},
		{"the first that is recorded", Record{}, now, true, Record{Current: &now, Pending: pending}},
		{"another", Record{Current: &old, PreviousKnown: true}, now, true,
			Record{Current: &now, Previous: &old, PreviousKnown: true, Pending: pending}},
		{"the same again", Record{Current: &now, Previous: &old, PreviousKnown: true}, again, true,
			Record{Current: &now, Previous: &old, PreviousKnown: true, Pending: pending}},
		{"other flags", Record{Current: &now}, otherQueues, true,
			Record{Current: &otherQueues, Previous: &now, PreviousKnown: true, Pending: pending}},
		{"after a way back", Record{Current: &old, Previous: &now, PreviousKnown: true, RolledBack: t0}, now, true,
			Record{Current: &now, Previous: &old, PreviousKnown: true, Pending: pending}},
		{"what was restored", Record{Current: &old, Previous: &now, PreviousKnown: true, RolledBack: t0}, old, true,
			Record{Current: &old, Previous: &now, PreviousKnown: true, Pending: pending}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.before.Apply(tt.next, tt.had, pending)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRollBackAndFlush(t *testing.T) {
	r := Record{Current: new(applied("b")), Previous: new(applied("a")), PreviousKnown: true, Pending: &Pending{Token: "t"}}
	back := r.RollBack(t0)
	want := Record{Current: new(applied("a")), Previous: new(applied("b")), PreviousKnown: true, RolledBack: t0}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want = Record{Previous: new(applied("b")), PreviousKnown: true}
	if diff := cmp.Diff(want, r.Flush()); diff != "" {
		t.Errorf("flush (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want, r.Flush().Flush()); diff != "" {
		t.Errorf("flush twice (-want +got)\n%s", diff)
	}
	if c := r.Confirm(); c.Pending != nil || r.Pending == nil || !c.Current.same(r.Current) {
		t.Errorf("confirm: %+v", c)
	}
}

func TestOverdue(t *testing.T) {
	r := Record{Pending: &Pending{Until: t0, Token: "t", Boot: "b"}}
	up := Record{Pending: &Pending{Until: t0, UntilUp: time.Minute, Token: "t", Boot: "b"}}
	for _, tt := range []struct {
		r    Record
		now  time.Time
		up   time.Duration
		boot string
		want bool
	}{
		{r, t0, 0, "b", false}, {r, t0.Add(time.Second), 0, "b", true}, {r, t0.Add(-time.Hour), 0, "c", true}, {Record{}, t0, 0, "b", false},
		{up, t0.Add(time.Hour), time.Minute - 1, "b", false}, {up, t0.Add(-time.Hour), time.Minute + 1, "b", true}, // the clock jumped
	} {
		if got := tt.r.Overdue(tt.now, tt.up, tt.boot); got != tt.want {
			t.Errorf("%+v at %v, boot %s: %v", tt.r.Pending, tt.now, tt.boot, got)
		}
	}
}

func TestConfig(t *testing.T) {
	cfg, err := configs.Parse("ref.yaml", configs.Reference(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Helper.Queues, cfg.Helper.Carrier = 7, configs.CarrierSane
	a := New("ref.yaml", configs.Reference(), cfg, t0.Add(time.Millisecond))
	got, err := a.Config()
	if err != nil {
		t.Fatal(err)
	}
	if got.Helper.Queues != 7 || got.Helper.Carrier != configs.CarrierSane || len(got.VIPs) != len(cfg.VIPs) || a.At != t0 {
		t.Errorf("%+v", got)
	}
	a.Text = "vips: 7"
	if _, err := a.Config(); err == nil {
		t.Error("a broken text is accepted")
	}
}

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	r := Record{Current: new(applied("b")), Previous: new(applied("a")), PreviousKnown: true, RolledBack: t0, Pending: &Pending{t0, time.Minute, "t", "b"}}
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, warnings, err := Load(dir)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, bad := range []string{"", `{"version":2}`, `{"version":1,"previous":{}}`, `{"version":1,"pending":{}}`} {
		if err := os.WriteFile(filepath.Join(dir, "applied.json"), []byte(bad), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, warnings, err := Load(dir); err != nil || len(warnings) != 1 || got != (Record{}) {
			t.Errorf("%q: %+v, %q, %v", bad, got, warnings, err)
		}
	}
	if got, warnings, err := Load(filepath.Join(dir, "missing")); err != nil || len(warnings) > 0 || got != (Record{}) {
		t.Errorf("nothing there: %+v, %q, %v", got, warnings, err)
	}
}

// FuzzDecode: decoding never panics, and what it accepts is written and read back as the same.
func FuzzDecode(f *testing.F) {
	first, err := Record{Current: new(applied("b")), PreviousKnown: true, Pending: &Pending{t0, time.Minute, "t", "b"}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Decode(in)
		if err != nil {
			return
		}
		out, err := r.Encode()
		if err != nil {
			t.Fatalf("encoding what was decoded: %v", err)
		}
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("decoding %s: %v", out, err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(out, twice) {
			t.Errorf("%v\n%s\n%s", err, out, twice)
		}
	})
}
