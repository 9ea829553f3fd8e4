package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/helper/running"
	"ftpvip/rules"
)

func (a *app) healthCommand() *cobra.Command {
	cmd := verb("health", "Check all backends and update the slots: once, or again and again", nil)
	asJSON := outputFlag(cmd)
	watch := cmd.Flags().Bool("watch", false, "go on until SIGTERM, each backend at its interval; for a service, instead of the timer")
	history := cmd.Flags().Bool("history", false, "check nothing, show what happened to backends so far")
	textfile := cmd.Flags().String("textfile", "", "also write the result for Prometheus's textfile collector to this file, NAME.prom")
	cmd.MarkFlagsMutuallyExclusive("watch", "history")
	cmd.MarkFlagsMutuallyExclusive("watch", "output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		switch {
		case err != nil:
			return err
		case *history:
			return fail(a.history(json), exitFailure)
		case *watch:
			return fail(a.watch(cmd.Context(), *textfile), exitFailure)
		}
		return fail(a.health(cmd.Context(), json, *textfile), exitFailure)
	}
	return cmd
}

// history shows what happened to backends.
func (a *app) history(asJSON bool) error {
	events, broken, err := health.ReadHistory(a.v.GetString("state-dir"))
	if err != nil {
		return err
	}
	if broken > 0 {
		a.log.Warn("lines of the history are unreadable and left out", "lines", broken)
	}
	if asJSON {
		if events == nil {
			events = []judge.Event{}
		}
		return writeJSON(a.stdout, events)
	}
	return health.WriteHistory(a.stdout, events)
}

// errRoundRuns says that somebody else checks already.
var errRoundRuns = errors.New("another round of health checks is still running, or ftpvip health --watch")

func (a *app) health(ctx context.Context, asJSON bool, textfile string) error {
	cfg, err := a.serving()
	if err != nil {
		return err
	}
	unlock, err := a.lock(ctx, lockRound, 0)
	if errors.Is(err, errLocked) {
		a.log.Warn(errRoundRuns.Error() + "; this one ends at once")
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	prev, err := a.healthFile(cfg)
	if err != nil {
		return err
	}
	found, err := health.Look(ctx, cfg, prev, health.Options{})
	if err != nil {
		return err
	}
	done, err := a.settle(ctx, cfg, prev, found, always)
	if err != nil {
		return err
	}
	for _, w := range done.report.Warnings {
		a.log.Warn(w)
	}
	if textfile != "" {
		if err := health.WriteTextfile(textfile, done.report); err != nil {
			return err
		}
	}
	if asJSON {
		err = writeJSON(a.stdout, done.report)
	} else {
		err = health.WriteText(a.stdout, done.report)
	}
	err = errors.Join(err, a.resetDown(ctx, cfg, done.events), a.tell(ctx, cfg, done.events))
	if err != nil {
		return err
	}
	if len(done.report.Empty()) > 0 {
		return &exitError{code: exitFailure}
	}
	return nil
}

// settled is what became of a round.
type settled struct {
	next   health.File
	report health.Report
	events []judge.Event
}

// when says what a round that changes nobody's state writes, and how long it waits for others that change things.
type when struct {
	state, kernel bool
	wait          time.Duration
}

var always = when{state: true, kernel: true, wait: lockWait}

// settle judges, remembers, and only then changes the kernel: after a crash the next round finds the same state and goes
// on from there. All changes of the round are one transaction.
func (a *app) settle(ctx context.Context, cfg *configs.Config, prev health.File, found health.Found, write when) (settled, error) {
	dir, err := a.stateDir()
	if err != nil {
		return settled{}, err
	}
	unlock, err := a.lock(ctx, lockChange, write.wait)
	if err != nil {
		return settled{}, err
	}
	defer unlock()
	record, err := a.record()
	if err != nil {
		return settled{}, err
	}
	if _, err := a.settleOverdue(ctx, record); err != nil {
		a.log.Error(err.Error())
	}
	decisions, err := a.adminFile() // read under the lock: a drain may have come while we probed
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
	s.next, s.report, s.events = health.Settle(cfg, prev, found, health.Options{Admin: out})
	changed := len(s.events) > 0
	if changed || write.state {
		if err := s.next.Save(dir); err != nil {
			return s, err
		}
	}
	if !changed && !write.kernel {
		return s, nil
	}
	var touched []configs.Ref
	if !write.kernel {
		for _, e := range s.events {
			touched = append(touched, e.Ref())
		}
	}
	p, err := a.updateSlots(cfg, known{s.next, decisions}, touched...)
	if err != nil {
		return s, fmt.Errorf("the state is written, and the slots are as they were: %w", err)
	}
	if deleted, added := p.Elements(); deleted+added > 0 {
		a.log.Info("slots changed", "deleted", deleted, "added", added)
	}
	return s, nil
}

// resetDown ends the sessions of backends that went down, where their pools want that. Slots have moved by now, so nobody
// comes back to the same backend.
func (a *app) resetDown(ctx context.Context, cfg *configs.Config, events []judge.Event) error {
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
	ended, err := running.Reset(ctx, cfg, refs)
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
	a.log.Info("on_down: reset", "backends", len(refs), "sessions", ended.Control, "data", ended.Data, "silent", ended.Silent)
	if err != nil {
		return fmt.Errorf("on_down: reset: %w", err)
	}
	return nil
}

// tell runs the notify commands and writes the history. The caller holds the lock of the round.
func (a *app) tell(ctx context.Context, cfg *configs.Config, events []judge.Event) error {
	if len(events) == 0 {
		return nil
	}
	for i, note := range health.Notify(ctx, cfg, events) {
		if note != "" {
			events[i].Did = append(events[i].Did, note)
		}
	}
	return health.AppendHistory(a.v.GetString("state-dir"), events)
}
