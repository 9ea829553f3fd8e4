package health

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

func sampleEvents() []judge.Event {
	return []judge.Event{
		{Time: t0, Pool: "farm", Backend: "b", From: judge.Up, To: judge.Down, Step: judge.StepConnect, Reason: "refused", Did: []string{"takes no new clients"}},
		{Time: t0.Add(time.Minute), Pool: "farm", Backend: "b", From: judge.Down, To: judge.Up, Did: []string{"takes new clients"}},
		{Time: t0, Pool: "farm", Backend: "c", From: judge.Down, To: judge.Down, Held: t0.Add(time.Hour), Admin: "drained"},
	}
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	if events, _, err := ReadHistory(dir); err != nil || len(events) > 0 {
		t.Fatal(events, err)
	}
	want := append(sampleEvents(), sampleEvents()...)
	for range 2 {
		if err := AppendHistory(dir, sampleEvents()); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, historyName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, `{"time": "2025`...), 0o600); err != nil { // the power failed here
		t.Fatal(err)
	}
	if err := AppendHistory(dir, sampleEvents()); err != nil {
		t.Fatal(err)
	}
	events, broken, err := ReadHistory(dir)
	if err != nil || broken != 1 {
		t.Fatal(broken, err)
	}
	if diff := cmp.Diff(append(want, sampleEvents()...), events); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestHistoryIsBounded appends far more than may be kept.
func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	e := sampleEvents()[0]
	e.Reason = strings.Repeat("x", 100<<10)
	for i := range 50 {
		e.Backend = string(rune('A' + i))
		if err := AppendHistory(dir, []judge.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(0)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	events, broken, err := ReadHistory(dir)
	if size > 2*maxHistory+2*int64(len(e.Reason))*2 || broken > 0 || err != nil {
		t.Errorf("%d bytes, %d broken lines, %v", size, broken, err)
	}
	if len(events) < 10 || events[len(events)-1].Backend != e.Backend {
		t.Errorf("%d events", len(events))
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"time":"2025-06-01T12:00:00Z","pool":"farm","backend":"b","from":"up","to":"down"}` + "\n"))
	f.Add([]byte("{\n\n}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, broken := decodeHistory(b)
		if n := len(events) + broken; n > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("%d lines out of %q", n, b)
		}
		for _, e := range events {
			_ = e.String()
			if e.From > judge.Down || e.To > judge.Down || e.Slots > judge.SlotsReleased {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestNotify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "told")
	script := `echo "$FTPVIP_POOL/$FTPVIP_BACKEND $FTPVIP_FROM $FTPVIP_TO $FTPVIP_STEP $FTPVIP_REASON $FTPVIP_TIME" >> ` + file
	cfg := func(script string) *configs.Config {
		return &configs.Config{Pools: []configs.Pool{
			{Name: "farm", Health: configs.Health{Notify: []string{"/bin/sh", "-c", script}}}, {Name: "quiet"},
		}}
	}
	events := append(sampleEvents(), judge.Event{Pool: "quiet", From: judge.Up, To: judge.Down}, judge.Event{Pool: "farm", From: judge.Up, To: judge.Down, Admin: "drained"})
	notes := Notify(t.Context(), cfg(script), events)
	if diff := cmp.Diff([]string{"notified by /bin/sh", "notified by /bin/sh", "", "", ""}, notes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b, err := os.ReadFile(file)
	for _, want := range []string{"farm/b up down connect refused 2025-06-01T12:00:00Z\n", "farm/b down up   2025-06-01T12:01:00Z\n"} {
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("told %q, %v", b, err)
		}
	}
	notes = Notify(t.Context(), cfg("echo no network; exit 1"), events[:1])
	if want := `NOT notified: /bin/sh: exit status 1: "no network"`; notes[0] != want {
		t.Errorf("%s, want %s", notes[0], want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	notes = Notify(ctx, cfg("sleep 100"), events[:1])
	if !strings.Contains(notes[0], "was killed") || time.Since(start) > 3*time.Second {
		t.Errorf("%s after %v", notes[0], time.Since(start))
	}
}

func TestTextfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ftpvip.prom")
	for range 2 {
		if err := WriteTextfile(path, sampleReport()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.prom")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v: the collector has to read it", info.Mode(), err)
	}
	if err := WriteTextfile("/nowhere/x.prom", sampleReport()); err == nil {
		t.Error("no error")
	}
}
