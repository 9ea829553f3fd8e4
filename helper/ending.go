package helper

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// ending is how a session ended.
type ending uint8

const (
	endNone    ending = iota
	endQuit           // 221
	endServer         // 421
	endClosed         // without a farewell, or with an encrypted one
	endLost           // the event of its end was lost
	endStopped        // the helper stopped; the session continues without it
)

// String returns a name that suits a log key.
func (e ending) String() string {
	switch e {
	case endQuit:
		return "quit"
	case endServer:
		return "server"
	case endClosed:
		return "closed"
	case endLost:
		return "lost"
	case endStopped:
		return "helper stopped"
	case endNone:
	}
	return "none"
}

// linger is the time between the server's farewell and the log line of the session: both ends need it to close the
// connection. conntrack keeps a closed connection for two more minutes, and sends its event only then.
const linger = 2 * time.Second

// maxRetired is how many ended sessions may wait for their log line.
const maxRetired = 8192

// maxInspect is how many data connections of a session are looked up at once.
const maxInspect = 256

// retirement is an ended session that waits for its log line.
type retirement struct {
	session *session
	due     time.Time
	how     ending
	final   bool // the connection has ended for certain
}

// farewell notes that the server ends the session.
func (s *session) farewell(e ending) {
	if e == s.bye || s.told {
		return
	}
	s.bye = e
	select {
	case s.daemon.retired <- retirement{session: s, due: s.daemon.time(s.now).Add(linger), how: e}:
	default: // many end at the same time: conntrack's event will follow
	}
}

// forget ends the session of a connection that conntrack has deleted.
func (d *Daemon) forget(c track.Connection, how ending) {
	if s := d.sessions.remove(c); s != nil {
		d.retire(s, how)
	}
}

// retire ends a session that was removed from the table, and queues its log line.
func (d *Daemon) retire(s *session, how ending) {
	if told := s.end(); told {
		return
	}
	select {
	case d.retired <- retirement{session: s, due: time.Now(), how: how, final: true}:
	default:
		d.conclude(s, how) // a log line without byte counts
	}
}

// accountant writes the log lines of ended sessions, so that neither packets nor conntrack's events wait for that.
func (d *Daemon) accountant(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-d.retired:
			if wait := time.Until(r.due); wait > 0 {
				select {
				case <-ctx.Done():
					d.conclude(r.session, endStopped)
					return
				case <-time.After(wait):
				}
			}
			d.close(r)
		}
	}
}

// close writes the log line of a session, unless the connection is still open.
func (d *Daemon) close(r retirement) {
	s := r.session
	if !r.final && !d.leaving(s) {
		s.mu.Lock()
		s.bye = endNone // the session continued
		s.mu.Unlock()
		return
	}
	d.settle(s, true)
	d.conclude(s, r.how)
}

// leaving reports whether one end closes the connection after a farewell.
func (d *Daemon) leaving(s *session) bool {
	in, err := d.asker.Inspect(s.conn.Client, s.conn.VIP)
	return errors.Is(err, track.ErrNoConnection) || err == nil && in.Closing
}

// over reports whether both ends have closed the connection, and when the last packet came, if conntrack knows.
func (d *Daemon) over(s *session) (over bool, last time.Time) {
	in, err := d.asker.Inspect(s.conn.Client, s.conn.VIP)
	if err != nil || !in.Ended {
		return errors.Is(err, track.ErrNoConnection), last
	}
	full := time.Duration(hostNumber("nf_conntrack_tcp_timeout_time_wait")) * time.Second
	if in.Reset {
		full = time.Duration(hostNumber("nf_conntrack_tcp_timeout_close")) * time.Second
	}
	if age := full - in.Left; in.Left > 0 && age >= 0 {
		last = time.Now().Add(-age)
	}
	return true, last
}

// sawLast notes when the last packet came of a session whose packets are not read, as those of TLS.
func (s *session) sawLast(at time.Time) {
	if at.IsZero() {
		return
	}
	if m := int64(s.daemon.moment(at)); m > s.seen.Load() {
		s.seen.Store(m)
	}
}

// settle counts the data connections that have ended, or all. It returns the number of those that are open, and the bytes that
// they have carried.
func (d *Daemon) settle(s *session, all bool) (open int, bytes uint64) {
	s.mu.Lock()
	list := s.pages().Open()
	s.mu.Unlock()
	for i, f := range list {
		if i == maxInspect {
			return open + len(list) - i, bytes
		}
		in, err := d.asker.Inspect(f.Src, f.Dst)
		switch {
		case errors.Is(err, track.ErrNoConnection):
			// Its event is on the way with the byte counts, but comes too late for a session that has ended.
			if !all {
				continue
			}
			in.Fate.Answered = true
		case err != nil:
			d.log.Warn("cannot look up a data connection in conntrack", "err", err)
			in.Fate.Answered = true
		}
		if !all && !in.Ended {
			open++
			bytes += max(in.Fate.Opener, in.Fate.Answerer)
			continue
		}
		d.flows.take(f)
		d.dataClosed(s, f, in.Fate, time.Now())
	}
	return open, bytes
}

// dataClosed counts one data connection that has ended.
func (d *Daemon) dataClosed(s *session, f journal.Flow, fate journal.Fate, now time.Time) {
	s.mu.Lock()
	done, ok := s.pages().Close(now, f, fate)
	s.mu.Unlock()
	switch {
	case !ok:
		return
	case done.Failure != nil:
		s.failed(*done.Failure)
		return
	}
	d.count.done(done)
	if d.debugs() {
		s.log().Debug("data connection closed", "mode", done.Mode, "direction", done.Direction, "from", f.Src, "to", f.Dst,
			"bytes", done.Bytes, "counted", done.Counted)
	}
}

// closingLooks limits how many sessions findClosed looks up in a round; it finishes the part of the table that it is in.
const closingLooks = 200

// findClosed finds sessions that ended without a readable farewell: TLS sessions, and clients that close the connection. The
// event of conntrack comes two minutes later, so this makes the log prompt. With more quiet sessions than look-ups it takes
// several rounds, each of which starts where the last one stopped.
func (d *Daemon) findClosed(now time.Time) {
	looks := 0
	for range shards {
		part := int(d.closing.Add(1) % shards)
		for _, s := range d.sessions.idle(part, d.moment(now.Add(-quiet))) {
			s.mu.Lock()
			told := s.told || s.ended
			s.mu.Unlock()
			if told {
				continue
			}
			looks++
			if over, last := d.over(s); over {
				s.sawLast(last)
				d.settle(s, true)
				d.conclude(s, endClosed)
			}
		}
		if looks >= closingLooks {
			return
		}
	}
}

// quiet is how long a session must be silent before it is looked up.
const quiet = 3 * time.Second

// conclude writes the log line of a session, once.
func (d *Daemon) conclude(s *session, how ending) {
	s.mu.Lock()
	if s.told {
		s.mu.Unlock()
		return
	}
	s.told = true
	d.count.concluded.Add(1)
	book := s.pages()
	d.flows.removeAll(book.Open())
	book.Blind = d.eventsLost.Load()
	if s.bye != endNone && how == endClosed {
		how = s.bye
	}
	until := time.Now()
	if how == endQuit || how == endServer {
		until = d.time(s.lastSeen()) // after that time nobody waits for them
	}
	for _, f := range book.End(until) {
		s.failed(f)
	}
	s.releaseQuota()
	attrs := s.account(how)
	s.mu.Unlock()
	s.log().LogAttrs(context.Background(), slog.LevelInfo, "session ended", attrs...)
}

// account is the content of a session's log line.
func (s *session) account(how ending) []slog.Attr {
	st := s.engine.Stats()
	attrs := []slog.Attr{
		slog.String("user", st.User), slog.Bool("tls", st.TLS), slog.String("end", how.String()),
		slog.Duration("duration", time.Duration(s.lastSeen()-s.begun).Round(time.Millisecond)),
		slog.Any("commands", st.Commands),
	}
	if s.pickedUp {
		attrs = append(attrs, slog.Bool("picked_up", true))
	}
	for _, c := range []struct {
		key string
		cmd ftp.Command
	}{{"pasv", ftp.CmdPASV}, {"epsv", ftp.CmdEPSV}, {"port", ftp.CmdPORT}, {"eprt", ftp.CmdEPRT}} {
		if n := st.Opens(c.cmd); n > 0 {
			attrs = append(attrs, slog.Any(c.key, n))
		}
	}
	book := s.pages()
	sums := book.Sums()
	for m := range journal.NumModes {
		for dir := range journal.NumDirections {
			if sum := sums[m][dir]; sum.Count > 0 {
				bytes := slog.Uint64("bytes", sum.Bytes)
				if sum.Uncounted == sum.Count {
					bytes = slog.String("bytes", "unknown")
				}
				attrs = append(attrs, slog.GroupAttrs(m.String()+"_"+dir.String(), slog.Uint64("count", uint64(sum.Count)), bytes))
			}
		}
	}
	attrs = append(attrs, slog.Any("refused", st.Refused), slog.Int("failed", book.Failed()))
	if s.tlsWithoutSlice() {
		attrs = append(attrs, slog.String("cause", "in TLS, and the server has no passive_ports: passive data connections found no way"))
	}
	if why := book.Failures(); why != "" {
		attrs = append(attrs, slog.String("failures", why))
	}
	return attrs
}

// concludeAll writes the log lines of all sessions when the helper stops. The sessions continue.
func (d *Daemon) concludeAll() {
	for {
		select {
		case r := <-d.retired:
			if r.final {
				d.conclude(r.session, r.how)
			}
			continue
		default:
		}
		break
	}
	for _, s := range d.sessions.all() {
		s.end()
		d.conclude(s, endStopped)
	}
}
