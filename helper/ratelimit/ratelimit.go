// Package ratelimit keeps trouble from filling the log: a slog.Handler that lets a few lines of each message pass,
// and says how many it suppressed. Only warnings and errors are limited; what happens in the ordinary course is not.
package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What one message may use: a burst, and then one line in a while.
const (
	Burst = 10
	Every = 10 * time.Second
)

// maxMessages bounds the table of messages, which are constants of the program.
const maxMessages = 256

// Handler limits the lines that go to another handler, by their message.
type Handler struct {
	next  slog.Handler
	state *state
}

type state struct {
	mu       sync.Mutex
	messages map[string]*budget
}

type budget struct {
	left       int
	last       time.Time // when left was brought up to date
	suppressed int
	level      slog.Level
}

// New returns a handler that passes lines on to next.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, state: &state{messages: map[string]*budget{}}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler. The budgets are shared.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), state: h.state}
}

// WithGroup implements slog.Handler. The budgets are shared.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), state: h.state}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.next.Handle(ctx, r)
	}
	suppressed, pass := h.state.take(r)
	if !pass {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.next.Handle(ctx, r)
}

// take uses the budget of a message.
func (s *state) take(r slog.Record) (suppressed int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.messages[r.Message]
	if b == nil {
		if len(s.messages) >= maxMessages {
			return 0, true
		}
		b = &budget{left: Burst, last: r.Time, level: r.Level}
		s.messages[r.Message] = b
	}
	if n := int(r.Time.Sub(b.last) / Every); n > 0 {
		b.left = min(b.left+n, Burst)
		b.last = b.last.Add(time.Duration(n) * Every)
	}
	if b.left == 0 {
		b.suppressed++
		return 0, false
	}
	b.left--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// Flush says how many lines were suppressed and not told of yet. It is to be called now and then, and at the end.
func (h *Handler) Flush(ctx context.Context, now time.Time) {
	h.state.mu.Lock()
	var records []slog.Record
	for message, b := range h.state.messages {
		if b.suppressed == 0 {
			continue
		}
		r := slog.NewRecord(now, b.level, "log lines were suppressed", 0)
		r.AddAttrs(slog.String("message", message), slog.Int("suppressed", b.suppressed))
		records = append(records, r)
		b.suppressed = 0
	}
	h.state.mu.Unlock()
	for _, r := range records {
		_ = h.next.Handle(ctx, r) // like slog itself
	}
}
