package helper

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// limited returns the log for a line that may be written, nil where it is suppressed: most lines of a flood are, and those
// are not to cost what making them costs. The client is the one who causes the line, and may be invalid.
func (d *Daemon) limited(level slog.Level, message string, client netip.Addr) *slog.Logger {
	if !d.log.Enabled(context.Background(), level) {
		return nil
	}
	suppressed, pass := d.limit.Admit(time.Now(), level, message, client)
	if !pass {
		return nil
	}
	log := slog.New(d.limit.Through())
	if suppressed > 0 {
		log = log.With("suppressed", suppressed)
	}
	return log
}

// limited is the same for a line about a session.
func (s *session) limited(level slog.Level, message string) *slog.Logger {
	log := s.daemon.limited(level, message, s.conn.Client.Addr())
	if log == nil {
		return nil
	}
	return log.With("vip", s.target.vip, "backend", s.target.backend, "client", s.conn.Client)
}
