// Package ratelimit keeps trouble from filling the log: a slog.Handler that lets a few lines of each message pass,
// and says how many it suppressed. Only warnings and errors are limited; what happens in the ordinary course is not.
//
// Lines that a client causes may be told apart by the client, with Admit: the one that causes most of them gets half of
// what a message may use, so that its flood does not hide the lines about others.
package ratelimit

import (
	"context"
	"log/slog"
	"net/netip"
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

	loudest netip.Addr // the client with most of the lines (Boyer and Moore's majority vote)
	votes   int
}

// maxVotes is after how many lines of others a client that was loud is forgotten.
const maxVotes = 100

// vote counts a line of a client, and reports whether it is the loudest.
func (b *budget) vote(client netip.Addr) (loudest bool) {
	switch {
	case !client.IsValid():
		return false
	case b.votes == 0:
		b.loudest, b.votes = client, 1
	case b.loudest == client:
		b.votes = min(b.votes+1, maxVotes)
	default:
		b.votes--
		return false
	}
	return b.votes > 1
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
	suppressed, pass := h.Admit(r.Time, r.Level, r.Message, netip.Addr{})
	if !pass {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.next.Handle(ctx, r)
}

// Through is the handler of lines that Admit lets pass.
func (h *Handler) Through() slog.Handler { return h.next }

// Admit uses the budget of a message before its line is made: most lines of a flood never are. The client is the one whose
// doing it is; it may be invalid.
func (h *Handler) Admit(now time.Time, level slog.Level, message string, client netip.Addr) (suppressed int, pass bool) {
	s := h.state
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.messages[message]
	if b == nil {
		if len(s.messages) >= maxMessages {
			return 0, true
		}
		b = &budget{left: Burst, last: now, level: level}
		s.messages[message] = b
	}
	if n := int(now.Sub(b.last) / Every); n > 0 {
		b.left = min(b.left+n, Burst)
		b.last = b.last.Add(time.Duration(n) * Every)
	}
	if loudest := b.vote(client); b.left == 0 || loudest && b.left <= Burst/2 {
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
