package ratelimit

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func record(at time.Time, level slog.Level, msg string) slog.Record {
	return slog.NewRecord(at, level, msg, 0)
}

func TestLimit(t *testing.T) {
	var out bytes.Buffer
	h := New(slog.NewTextHandler(&out, nil))
	other := h.WithAttrs([]slog.Attr{slog.String("client", "c")}).WithGroup("g")
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	say := func(h slog.Handler, level slog.Level, msg string) {
		t.Helper()
		if err := h.Handle(t.Context(), record(now, level, msg)); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int { return strings.Count(out.String(), "\n") }
	for range 50 {
		say(h, slog.LevelWarn, "trouble")
		say(other, slog.LevelWarn, "trouble")
		say(h, slog.LevelInfo, "fine")
	}
	if n := lines(); n != Burst+50 {
		t.Errorf("%d lines, want %d", n, Burst+50)
	}
	out.Reset()
	say(h, slog.LevelError, "other trouble")
	now = now.Add(Every)
	say(h, slog.LevelWarn, "trouble")
	say(h, slog.LevelWarn, "trouble")
	if n := lines(); n != 2 || !strings.Contains(out.String(), "msg=trouble suppressed=90") {
		t.Errorf("%d lines, want 2:\n%s", n, out.String())
	}
	out.Reset()
	h.Flush(t.Context(), now)
	h.Flush(t.Context(), now)
	if want := `msg="log lines were suppressed" message=trouble suppressed=1`; lines() != 1 || !strings.Contains(out.String(), want) {
		t.Errorf("want one line with %s:\n%s", want, out.String())
	}
	now = now.Add(time.Hour)
	out.Reset()
	for range 50 {
		say(h, slog.LevelWarn, "trouble")
	}
	if n := lines(); n != Burst {
		t.Errorf("%d lines after a while, want %d", n, Burst)
	}
}
