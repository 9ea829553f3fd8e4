package health

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/configs/statefile"
	"ftpvip/health/judge"
)

func sampleConfig() *configs.Config {
	return &configs.Config{Pools: []configs.Pool{
		{Name: "farm", Health: configs.Health{Check: configs.CheckTCP}, Backends: []configs.Backend{{Name: "a"}, {Name: "b"}, {Name: "c"}}},
		{Name: "old", Health: configs.Health{Check: configs.CheckNone}, Backends: []configs.Backend{{Name: "a"}, {Name: "b"}}},
	}}
}

func sampleFile() File {
	return File{Round: t0, Backends: map[configs.Ref]judge.State{
		{Pool: "farm", Backend: "a"}: {Status: judge.Up, Since: t0, Checked: t0, Last: judge.Outcome{OK: true, LatencyMS: 0.412}},
		{Pool: "farm", Backend: "b"}: {
			Status: judge.Down, Since: t0.Add(-time.Hour), Rise: 1, Checked: t0,
			Last: judge.Outcome{Step: judge.StepConnect, Reason: "connection refused"},
		},
		{Pool: "old", Backend: "a"}: {Status: judge.Up, Since: t0},
	}}
}

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		if err := sampleFile().Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, warnings, err := Load(dir, sampleConfig())
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if diff := cmp.Diff(sampleFile(), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, stateFile.Name))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestDown(t *testing.T) {
	want := map[configs.Ref]bool{{Pool: "farm", Backend: "b"}: true}
	if diff := cmp.Diff(want, sampleFile().Down()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if down := (File{}).Down(); len(down) != 0 {
		t.Errorf("down in an empty file: %v", down)
	}
}

// TestFor drops who is no longer in the configuration, and who is down where nobody looks any more.
func TestFor(t *testing.T) {
	f := sampleFile()
	f.Backends[configs.Ref{Pool: "farm", Backend: "gone"}] = judge.State{Status: judge.Down}
	f.Backends[configs.Ref{Pool: "gone", Backend: "a"}] = judge.State{Status: judge.Down}
	f.Backends[configs.Ref{Pool: "old", Backend: "b"}] = judge.State{Status: judge.Down}
	if diff := cmp.Diff(sampleFile(), f.For(sampleConfig())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLoadCorrupt(t *testing.T) {
	tests := []struct{ name, content, warning string }{
		{"empty", "", "unexpected end of JSON input"},
		{"cut off", `{"version":1,"backends":{"farm/a":{"sta`, "unexpected end of JSON input"},
		{"not JSON", "\x00\x00\x00", "invalid character"},
		{"two values", `{"version":1}{"version":1}`, "invalid character '{' after top-level value"},
		{"no version", `{"backends":{}}`, "state file of another version: 0, this program knows 1"},
		{"later version", `{"version":2,"backends":[]}`, "state file of another version: 2, this program knows 1"},
		{"no pool", `{"version":1,"backends":{"a":{}}}`, `"a" is not pool/backend`},
		{"strange status", `{"version":1,"backends":{"farm/a":{"status":"ill"}}}`, `no such status: "ill"`},
		{"negative counter", `{"version":1,"backends":{"farm/a":{"fall":-1}}}`, "farm/a: a negative counter"},
		{"strange time", `{"version":1,"round":"yesterday"}`, "parsing time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, stateFile.Name)
			if err := os.WriteFile(path, []byte(tt.content), 0o640); err != nil {
				t.Fatal(err)
			}
			f, warnings, err := Load(dir, sampleConfig())
			if err != nil || len(f.Backends) != 0 {
				t.Fatalf("%+v, %v", f, err)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], tt.warning) || !strings.Contains(warnings[0], path) {
				t.Errorf("warnings %q, want one with %q", warnings, tt.warning)
			}
			if err := sampleFile().Save(dir); err != nil {
				t.Fatal(err)
			}
			aside, err := os.ReadFile(path + ".corrupt")
			if err != nil || string(aside) != tt.content {
				t.Errorf("aside %q, %v", aside, err)
			}
			if _, warnings, err := Load(dir, sampleConfig()); err != nil || len(warnings) > 0 {
				t.Errorf("after Save: %q, %v", warnings, err)
			}
		})
	}
}

func TestNoStateDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if _, warnings, err := Load(dir, sampleConfig()); err != nil || len(warnings) > 0 {
		t.Errorf("Load: %q, %v", warnings, err)
	}
	err := sampleFile().Save(dir)
	want := "writing health state to " + dir + ": the state directory does not exist; create it with `install -d -m 0750 " + dir +
		"`, or name another with --state-dir"
	if !errors.Is(err, statefile.ErrNoDir) || err.Error() != want {
		t.Errorf("Save: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, stateFile.Name), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(dir, sampleConfig()); err == nil {
		t.Error("Load read a directory")
	}
	var perr *fs.PathError
	var lerr *os.LinkError
	if err := sampleFile().Save(dir); !errors.As(err, &perr) && !errors.As(err, &lerr) {
		t.Errorf("Save: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// FuzzDecode: decoding never panics, and what it accepts is written and read back as the same.
func FuzzDecode(f *testing.F) {
	b, err := sampleFile().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, s := range []string{
		"", "{}", `{"version":1}`, `{"version":2}`, `{"version":1,"backends":{"a/b":{"status":"down","rise":1}}}`,
		`{"version":1,"backends":{"a/b/c":{"since":"2025-06-01T12:00:00+02:00"}}}`, `{"version":1,"backends":{"/":{}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Decode(b)
		if err != nil {
			return
		}
		first, err := file.Encode()
		if err != nil {
			t.Fatalf("encoding what was decoded: %v", err)
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("decoding %s: %v", first, err)
		}
		second, err := again.Encode()
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%v\n%s\n%s", err, first, second)
		}
	})
}
