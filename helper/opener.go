package helper

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// expectTimeout is how long the kernel waits for an announced data connection: what both carriers have as their
// policy (helper/carrier; net/netfilter/nf_conntrack_sane.c).
const expectTimeout = 300 * time.Second

// errQuota is created once, because a client may cause it with every line.
var errQuota = fmt.Errorf("%w: helper.max_data_per_client or helper.max_data", ftp.ErrQuota)

// Open implements ftp.Opener. It is called by the engine, with the session locked.
func (s *session) Open(c ftp.DataConn) error {
	if s.ended {
		return track.ErrNoConnection
	}
	count := &s.daemon.count.expectations
	if s.repeats(c) {
		return nil
	}
	if !s.affordable(c) {
		count[outQuota].Add(1)
		return errTooMany
	}
	if !s.place && !s.daemon.quota.take(s.conn.Client.Addr(), &s.daemon.view.Load().limits) {
		count[outQuota].Add(1)
		return errQuota
	}
	err := s.tracker.Expect(s.conn, c)
	what := outcomeOf(err)
	count[what].Add(1)
	if err != nil {
		if !s.place {
			s.daemon.quota.give(s.conn.Client.Addr())
		}
		if what == outFull {
			return fmt.Errorf("%w: the kernel has no room for another expectation; "+
				"see net.netfilter.nf_conntrack_expect_max and the host's memory", err)
		}
		return err
	}
	s.place = true
	s.asked.opened, s.asked.commands = true, s.engine.Commands()
	book := s.ledger()
	book.Blind = s.daemon.eventsLost.Load()
	if !c.Provisional {
		if failed := book.Announce(s.daemon.time(s.now), c); failed != nil {
			s.failed(*failed)
		}
	}
	s.awaits = s.now
	if s.awaitTimer == nil {
		s.awaitTimer = time.AfterFunc(journal.Patience, s.checkAwaited)
	} // otherwise it is running, and checks awaits
	return nil
}

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outCreated
	case errors.Is(err, ftp.ErrPortBusy):
		return outBusy
	case errors.Is(err, track.ErrNoCarrier):
		return outNoCarrier
	case errors.Is(err, track.ErrNoConnection):
		return outNoConnection
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		// EMFILE: nf_conntrack_expect_max is reached (net/netfilter/nf_conntrack_expect.c).
		return outFull
	}
	return outFailed
}

// releaseQuota releases the session's place in the quota.
func (s *session) releaseQuota() {
	if s.place {
		s.place = false
		s.daemon.quota.give(s.conn.Client.Addr())
	}
	s.stopTimer()
}

// stopTimer stops the timer: idle sessions need none, and a timer is a tenth of a session's memory.
func (s *session) stopTimer() {
	if s.awaitTimer != nil {
		s.awaitTimer.Stop()
		s.awaitTimer = nil
	}
}

// wait schedules checkAwaited.
func (s *session) wait(d time.Duration) {
	s.stopTimer()
	s.awaitTimer = time.AfterFunc(d, s.checkAwaited)
}

// checkAwaited finds data connections that did not come, and stops waiting when the kernel does.
func (s *session) checkAwaited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.told {
		return
	}
	now := time.Now()
	waited := time.Duration(s.daemon.moment(now) - s.awaits)
	if waited < journal.Patience { // another one was announced just now
		s.wait(journal.Patience - waited)
		return
	}
	if s.daemon.eventsLost.Load() {
		s.releaseQuota() // it may have come
		return
	}
	for _, f := range s.pages().Overdue(now) {
		s.failed(f)
	}
	switch {
	case waited >= expectTimeout:
		s.releaseQuota()
	case s.place:
		s.wait(expectTimeout - waited)
	default:
		s.stopTimer()
	}
}

// failed logs a data connection that failed.
func (s *session) failed(f journal.Failure) {
	s.daemon.count.failed[f.Cause].Add(1)
	if log := s.limited(slog.LevelWarn, "data connection failed"); log != nil {
		log.Warn("data connection failed", "command", f.Command, "reason", f.String())
	}
}

// event counts and logs an event of the engine. Normal events are logged for debugging only.
func (s *session) event(e ftp.Event) {
	count := &s.daemon.count
	count.events[e.Kind].Add(1)
	switch e.Kind {
	case ftp.EventCommand:
		s.commanded(e.Verb)
	case ftp.EventGoodbye:
		s.farewell(endQuit)
	case ftp.EventGivesUp:
		s.farewell(endServer)
	case ftp.EventRewritten:
		count.rewrites[e.Command].Add(1)
		s.debug(e)
	case ftp.EventPickedUp:
		s.pickedUp = s.pickedUp || s.now == s.begun // later ones come after a gap, or after TLS
		s.debug(e)
	case ftp.EventExpected, ftp.EventOpaque, ftp.EventReadable, ftp.EventEarly, ftp.EventStale, ftp.EventGap:
		s.debug(e)
	case ftp.EventRefused:
		count.refusals[e.Reason].Add(1)
		f := journal.Failure{Cause: journal.Refused, Command: e.Command, Reason: e.Reason, At: e.Named}
		if e.Reason == ftp.ReasonOpen || e.Reason == ftp.ReasonNoPort {
			f.Cause, f.Detail = journal.Impossible, fmt.Sprintf("%s: %v", e.Reason, e.Err)
		}
		s.ledger().Fail(f)
		log := s.limited(slog.LevelWarn, "refused")
		if log == nil {
			return
		}
		if e.Named.IsValid() {
			log = log.With("named", e.Named)
		}
		if e.Err != nil {
			log = log.With("err", e.Err)
		}
		log.Warn("refused", "command", e.Command, "reason", e.Reason, "direction", e.Dir)
	case ftp.EventNoFit:
		f := journal.Failure{Cause: journal.NoFit, Command: e.Command, At: e.Named, Ours: e.Ours}
		s.ledger().Fail(f)
		s.failed(f)
	case ftp.EventOpenFailed:
		s.ledger().Fail(journal.Failure{Cause: journal.Impossible, Command: e.Command, Detail: fmt.Sprint(e.Err)})
		const message = "no expectation for a data connection, which will fail"
		if log := s.limited(slog.LevelError, message); log != nil {
			log.Error(message, "command", e.Command, "err", e.Err)
		}
	case ftp.EventUnexpected, ftp.EventLineTooLong, ftp.EventHeldTooLong, ftp.EventOverlap:
		if log := s.limited(slog.LevelWarn, e.Kind.String()); log != nil {
			log.Warn(e.Kind.String(), "command", e.Command, "direction", e.Dir)
		}
	case ftp.NumKinds:
	}
}

func (s *session) debug(e ftp.Event) {
	if !s.daemon.debugs() {
		return
	}
	if e.Kind == ftp.EventExpected {
		s.log().Debug("data connection announced", "command", e.Command, "at", e.Data.At, "to", e.Data.To)
		return
	}
	s.log().Debug(e.Kind.String(), "command", e.Command, "direction", e.Dir)
}
