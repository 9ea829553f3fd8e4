package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// newLog writes log lines. For systemd's journal each line begins with its priority, see sd-daemon(3); the journal knows the time.
func newLog(w io.Writer, level slog.Level, journal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if !journal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	out := &prefixed{w: w}
	return slog.New(priorities{slog.NewTextHandler(out, options), out})
}

// toJournal reports whether a file is the journal's stream, as JOURNAL_STREAM says in DEVICE:INODE.
func toJournal(f *os.File) bool {
	var st unix.Stat_t
	stream := os.Getenv("JOURNAL_STREAM")
	return stream != "" && unix.Fstat(int(f.Fd()), &st) == nil && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}

// prefixed writes a prefix before each line.
type prefixed struct {
	mu     sync.Mutex
	w      io.Writer
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// priorities is a handler that writes each line behind its priority.
type priorities struct {
	slog.Handler
	out *prefixed
}

// Handle writes a line.
func (h priorities) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.prefix = fmt.Sprintf("<%d>", priority(r.Level))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that writes these as well.
func (h priorities) WithAttrs(attrs []slog.Attr) slog.Handler {
	return priorities{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup returns a handler that writes names in a group.
func (h priorities) WithGroup(name string) slog.Handler {
	return priorities{h.Handler.WithGroup(name), h.out}
}

// priority is that of syslog(3).
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
