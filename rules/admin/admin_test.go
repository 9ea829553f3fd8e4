package admin

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/rules"
)

var (
	t0 = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	a  = configs.Ref{Pool: "farm", Backend: "a"}
	b  = configs.Ref{Pool: "farm", Backend: "b"}
	c  = configs.Ref{Pool: "gone", Backend: "c"}
)

func sample() File {
	return File{Backends: map[configs.Ref]Entry{
		a: {Mode: rules.Drained, ModeSince: t0},
		b: {Weight: 30, WeightSince: t0.Add(time.Hour)},
		c: {Mode: rules.Disabled, ModeSince: t0, Weight: 1, WeightSince: t0},
	}}
}

func TestDecisions(t *testing.T) {
	later := t0.Add(time.Minute + time.Millisecond)
	tests := []struct {
		name   string
		change func(File) File
		ref    configs.Ref
		want   Entry
	}{
		{"drain", func(f File) File { return f.WithMode(b, rules.Drained, later) }, b,
			Entry{rules.Drained, t0.Add(time.Minute), 30, t0.Add(time.Hour)}},
		{"drain again keeps the time", func(f File) File { return f.WithMode(a, rules.Drained, later) }, a,
			Entry{Mode: rules.Drained, ModeSince: t0}},
		{"disable what is drained", func(f File) File { return f.WithMode(a, rules.Disabled, later) }, a,
			Entry{Mode: rules.Disabled, ModeSince: t0.Add(time.Minute)}},
		{"enable", func(f File) File { return f.WithMode(a, rules.Enabled, later) }, a, Entry{}},
		{"enable keeps the weight", func(f File) File { return f.WithMode(c, rules.Enabled, later) }, c, Entry{Weight: 1, WeightSince: t0}},
		{"weight", func(f File) File { return f.WithWeight(a, 5, later) }, a, Entry{rules.Drained, t0, 5, t0.Add(time.Minute)}},
		{"default weight", func(f File) File { return f.WithWeight(b, 0, later) }, b, Entry{}},
		{"the same weight keeps the time", func(f File) File { return f.WithWeight(b, 30, later) }, b,
			Entry{Weight: 30, WeightSince: t0.Add(time.Hour)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := sample()
			after := tt.change(before)
			if diff := cmp.Diff(tt.want, after.Backends[tt.ref]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, there := after.Backends[tt.ref]; there == (tt.want == Entry{}) {
				t.Errorf("an entry is there: %v", there)
			}
			if diff := cmp.Diff(sample(), before); diff != "" {
				t.Errorf("the old file changed (-want +got)\n%s", diff)
			}
		})
	}
	if f := (File{}).WithMode(a, rules.Drained, t0); f.Backends[a].Mode != rules.Drained {
		t.Errorf("the first decision: %+v", f)
	}
}

func TestState(t *testing.T) {
	want := map[configs.Ref]rules.Admin{a: {Mode: rules.Drained}, b: {Weight: 30}, c: {Mode: rules.Disabled, Weight: 1}}
	if diff := cmp.Diff(want, sample().State()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUnknown(t *testing.T) {
	cfg := &configs.Config{Pools: []configs.Pool{{Name: "farm", Backends: []configs.Backend{{Name: "a"}}}}}
	if diff := cmp.Diff([]configs.Ref{b, c}, sample().Unknown(cfg)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	if f, warnings, err := Load(dir); err != nil || len(warnings) > 0 || len(f.Backends) > 0 {
		t.Fatalf("nothing there: %+v, %q, %v", f, warnings, err)
	}
	restore, err := Snapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := sample().Save(dir); err != nil {
		t.Fatal(err)
	}
	got, warnings, err := Load(dir)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestCorrupt(t *testing.T) {
	tests := []struct{ name, content, warning string }{
		{"empty", "", "unexpected end of JSON input"},
		{"cut off", `{"version":1,"backends":{"farm/a":{"mo`, "unexpected end of JSON input"},
		{"later version", `{"version":2}`, "state file of another version: 2, this program knows 1"},
		{"no pool", `{"version":1,"backends":{"a":{}}}`, `"a" is not POOL/BACKEND`},
		{"strange mode", `{"version":1,"backends":{"farm/a":{"mode":"asleep"}}}`, `mode "asleep", allowed: drained, disabled`},
		{"weight", `{"version":1,"backends":{"farm/a":{"weight":101}}}`, "weight 101, allowed: 1 to 100"},
		{"time", `{"version":1,"backends":{"farm/a":{"mode_since":"2025-06-01T12:00:00Z"}}}`, "a time without a decision"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "admin.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o640); err != nil {
				t.Fatal(err)
			}
			f, warnings, err := Load(dir)
			if err != nil || len(f.Backends) != 0 {
				t.Fatalf("%+v, %v", f, err)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], tt.warning) || !strings.Contains(warnings[0], path) {
				t.Errorf("warnings %q, want one with %q", warnings, tt.warning)
			}
			if err := sample().Save(dir); err != nil {
				t.Fatal(err)
			}
			if aside, err := os.ReadFile(path + ".corrupt"); err != nil || string(aside) != tt.content {
				t.Errorf("aside %q, %v", aside, err)
			}
		})
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "admin.json"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(dir); err == nil {
		t.Error("Load read a directory")
	}
}

func TestParseRef(t *testing.T) {
	if got, err := ParseRef("farm/a"); err != nil || got != a {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "/", "farm", "farm/", "/a", "farm/a/b"} {
		if got, err := ParseRef(bad); err == nil {
			t.Errorf("%q is accepted as %v", bad, got)
		}
	}
}

// FuzzDecode: decoding never panics, and what it accepts is written and read back as the same.
func FuzzDecode(f *testing.F) {
	first, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	for _, s := range []string{"", "{}", `{"version":1}`, `{"version":1,"backends":{"a/b":{"mode":"drained","weight":7}}}`,
		`{"version":1,"backends":{"a/b":{"weight":-1},"/":{}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := Decode(in)
		if err != nil {
			return
		}
		out, err := file.Encode()
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

func TestParseWeight(t *testing.T) {
	for word, want := range map[string]int{"default": 0, "1": 1, "100": 100} {
		if got, err := ParseWeight(word); err != nil || got != want {
			t.Errorf("%q: %d, %v", word, got, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "+1", "01", "1.5", "101", "0x10", "Default"} {
		if got, err := ParseWeight(bad); err == nil {
			t.Errorf("%q is accepted as %d", bad, got)
		}
	}
}
