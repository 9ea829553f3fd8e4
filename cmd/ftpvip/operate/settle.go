package operate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/statedir"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/rules"
)

// History returns the events of backends; it is never nil.
func (o *Operator) History() ([]judge.Event, error) {
	events, broken, err := health.ReadHistory(o.StateDir)
	if broken > 0 {
		o.Log.Warn("lines of the history are unreadable and left out", "lines", broken)
	}
	return append([]judge.Event{}, events...), err
}

// errRoundRuns says that another process is checking.
var errRoundRuns = errors.New("another round of health checks is still running, or ftpvip health --watch")

// Round checks all backends and updates the slots. It calls show with the result, then resets sessions and runs notify
// commands. If another round is running, it does nothing.
func (o *Operator) Round(ctx context.Context, show func(health.Report) error) error {
	in, err := o.serving()
	if err != nil {
		return err
	}
	cfg := in.cfg
	unlock, err := o.lock(ctx, lockRound, 0)
	if errors.Is(err, statedir.ErrLocked) {
		o.Log.Warn(errRoundRuns.Error() + "; this one ends at once")
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	prev, err := o.healthFile(cfg)
	if err != nil {
		return err
	}
	found, err := health.Look(ctx, cfg, prev, health.Options{Probes: o.Probes})
	if err != nil {
		return err
	}
	done, err := o.settle(ctx, cfg, prev, found, always)
	if done.next.Backends == nil {
		return err
	}
	for _, w := range done.report.Warnings {
		o.Log.Warn(w)
	}
	done.report.Broken(in.broken)
	done.report.Troubles = o.watchHost(ctx, cfg)
	o.logEvents(done.events)
	return errors.Join(err, show(done.report), o.resetDown(ctx, cfg, done.events), o.notifyAndRecord(ctx, cfg, done.events))
}

// logEvents writes a line for each change of a backend. All are warnings, so that a night's history can be read with
// `journalctl -p warning`, but for the first success of a new backend.
func (o *Operator) logEvents(events []judge.Event) {
	for _, e := range events {
		level := slog.LevelWarn
		if e.From == judge.Unknown && e.To == judge.Up {
			level = slog.LevelInfo
		}
		args := []any{"pool", e.Pool, "backend", e.Backend, "from", e.From.String(), "to", e.To.String()}
		if e.Step != judge.StepNone {
			args = append(args, "step", string(e.Step), "reason", e.Reason)
		}
		if e.Admin != "" {
			args = append(args, "admin", e.Admin)
		}
		if !e.Held.IsZero() {
			args = append(args, "held_until", e.Held)
		}
		o.Log.Log(context.Background(), level, "backend changed", args...)
	}
}

// settled is the result of a round.
type settled struct {
	next   health.File
	report health.Report
	events []judge.Event
}

// when says what a round writes if no state changes, and how long it waits for the lock.
type when struct {
	state, kernel bool
	wait          time.Duration
}

var always = when{state: true, kernel: true, wait: lockWait}

// settle judges the findings, writes the state, and then changes the kernel: after a crash the next round continues from the
// same state. The slots change also if the state cannot be written. All slots of a round change in one transaction.
func (o *Operator) settle(ctx context.Context, cfg *configs.Config, prev health.File, found health.Found, write when) (settled, error) {
	unlock, err := o.lock(ctx, LockChange, write.wait)
	if err != nil {
		return settled{}, err
	}
	defer unlock()
	record, err := o.record()
	if err != nil {
		return settled{}, err
	}
	if _, err := o.rollBackOverdue(ctx, record); err != nil {
		o.Log.Error(err.Error())
	}
	decisions, err := o.adminFile() // read under the lock: a drain may have come while we probed
	if err != nil {
		return settled{}, err
	}
	out := make(map[configs.Ref]string)
	for ref, e := range decisions.Backends {
		if e.Mode != rules.Enabled {
			out[ref] = string(e.Mode)
		}
	}
	var s settled
	up := o.uptime()
	s.next, s.report, s.events = health.Settle(cfg, prev.Adjusted(o.Clock.Now(), up), found, health.Options{Admin: out})
	up.Up -= max(0, o.Clock.Now().Sub(s.next.Round)) // when the round began
	s.next.Up = up
	changed := len(s.events) > 0
	var unsaved error // no reason to leave clients to a server that is down
	if changed || write.state {
		unsaved = s.next.Save(o.StateDir)
	}
	var p *rules.Plan
	now := health.Known{Health: s.next, Admin: decisions}
	switch {
	case write.kernel:
		p, s.report.Table, err = o.keepTable(cfg, now)
	case changed:
		var touched []configs.Ref
		for _, e := range s.events {
			touched = append(touched, e.Ref())
		}
		p, err = o.updateSlots(cfg, now, touched...)
	default:
		return s, unsaved
	}
	if p == nil && err != nil {
		return s, errors.Join(unsaved, fmt.Errorf("the slots are unchanged: %w", err))
	}
	if deleted, added := p.Elements(); deleted+added > 0 {
		o.Log.Info("slots changed", "deleted", deleted, "added", added)
	}
	return s, errors.Join(unsaved, err)
}

// resetDown resets the sessions of backends that went down, if their pools have on_down: reset. The slots have changed before,
// so clients that reconnect get another backend.
func (o *Operator) resetDown(ctx context.Context, cfg *configs.Config, events []judge.Event) error {
	var refs []configs.Ref
	var which []int
	for i, e := range events {
		if e.Leaves() && cfg.Pool(e.Pool).Health.OnDown == configs.DownReset {
			refs, which = append(refs, e.Ref()), append(which, i)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	ended, err := o.Sessions.Reset(ctx, cfg, refs)
	note := fmt.Sprintf("%d sessions and %d data connections were reset", ended.Control, ended.Data)
	if len(refs) > 1 {
		note += fmt.Sprintf(" of %d backends", len(refs))
	}
	if err != nil {
		note = fmt.Sprintf("sessions were NOT all reset: %v", err)
	}
	for _, i := range which {
		events[i].Did = append(events[i].Did, note)
	}
	o.Log.Info("on_down: reset", "backends", len(refs), "sessions", ended.Control, "data", ended.Data, "silent", ended.Silent)
	if err != nil {
		return fmt.Errorf("on_down: reset: %w", err)
	}
	return nil
}

// notifyAndRecord runs the notify commands and writes the history. The caller holds the lock of the round.
func (o *Operator) notifyAndRecord(ctx context.Context, cfg *configs.Config, events []judge.Event) error {
	if len(events) == 0 {
		return nil
	}
	for i, note := range health.Notify(ctx, cfg, events) {
		if note != "" {
			events[i].Did = append(events[i].Did, note)
		}
	}
	return health.AppendHistory(o.StateDir, events)
}
