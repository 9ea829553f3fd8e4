package ratelimit

import (
	"bytes"
	"log/slog"
	"net/netip"
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

// A client that floods the log leaves room for the lines about others.
func TestFloodHidesNobody(t *testing.T) {
	h := New(slog.DiscardHandler)
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	loud := netip.MustParseAddr("203.0.113.9")
	passed := func(client netip.Addr) (n int) {
		if _, pass := h.Admit(now, slog.LevelWarn, "refused", client); pass {
			n = 1
		}
		return n
	}
	lines := 0
	for range 10000 {
		lines += passed(loud)
	}
	if lines != Burst/2 {
		t.Errorf("%d lines of one client, want %d", lines, Burst/2)
	}
	for range 5 { // minutes, in which it goes on
		others := 0
		for i := range 12 {
			now = now.Add(Every / 2)
			lines = 0
			for range 1000 {
				lines += passed(loud)
			}
			if i == 6 {
				others = passed(netip.MustParseAddr("198.51.100.1")) + passed(netip.MustParseAddr("198.51.100.2"))
			}
		}
		if others != 2 {
			t.Errorf("%d of 2 lines of others", others)
		}
	}
	for range maxVotes {
		passed(netip.MustParseAddr("198.51.100.3"))
	}
	now = now.Add(time.Hour)
	if passed(loud) != 1 {
		t.Error("a client that was loud is never heard again")
	}
}

// A line that is suppressed costs next to nothing.
func BenchmarkSuppressed(b *testing.B) {
	h := New(slog.DiscardHandler)
	now := time.Now()
	client := netip.MustParseAddr("203.0.113.9")
	b.ReportAllocs()
	for b.Loop() {
		h.Admit(now, slog.LevelWarn, "refused", client)
	}
}
