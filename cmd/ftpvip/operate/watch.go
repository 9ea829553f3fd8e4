package operate

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/statedir"
	"ftpvip/health"
	"ftpvip/health/judge"
)

// How often a watch writes if no state changes: the state file, as proof that checks are running, and the slots, for slow
// starts and for changes that others made to the table.
const (
	saveEvery  = time.Second
	slotsEvery = 5 * time.Second
	watchWait  = 3 * time.Second // for the lock: less than the watchdog's time
)

// maxUnnotified is how many rounds may wait for their notify commands.
const maxUnnotified = 64

// watcher is a running `health --watch`.
type watcher struct {
	*Operator
	ctx           context.Context
	cfg           atomic.Pointer[configs.Config]
	textfile      string
	watchdog      time.Duration // 0: none
	backends      health.File
	saved, synced time.Time
	watchdogSent  time.Time
	changed       time.Time // when the configuration that it works with was applied or rolled back
	brokenMu      sync.Mutex
	broken        error // why the configuration file cannot be used; nil: it can
	unnotified    chan unnotified
	troubles      atomic.Pointer[[]health.Trouble] // nil: nobody has looked yet
}

// unnotified is the events of a round whose notify commands have not run yet.
type unnotified struct {
	cfg    *configs.Config
	events []judge.Event
}

// Watch checks each backend at its interval until SIGTERM or SIGINT. SIGHUP reloads the configuration; if the new one is
// invalid, the old one stays in use.
func (o *Operator) Watch(ctx context.Context, textfile string) error {
	in, err := o.serving()
	if err != nil {
		return err
	}
	cfg := in.cfg
	o.Source.forgetEarly()
	unlock, err := o.lock(ctx, lockRound, 0)
	if errors.Is(err, statedir.ErrLocked) {
		return errors.Join(errRoundRuns, err)
	}
	if err != nil {
		return err
	}
	defer unlock()
	w := &watcher{Operator: o, ctx: ctx, textfile: textfile, unnotified: make(chan unnotified, maxUnnotified)}
	w.cfg.Store(cfg)
	w.broken = in.broken
	if w.backends, err = o.healthFile(cfg); err != nil {
		return err
	}
	if record, err := o.record(); err == nil {
		w.changed = lastChange(record)
	}
	if w.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		return err
	}
	defer w.reloads()()
	told := make(chan struct{})
	go func() { defer close(told); w.notifyAll() }()
	w.notify(daemon.SdNotifyReady)
	o.Log.Info("watching", "pools", len(cfg.Pools))
	examined := make(chan struct{})
	go func() { defer close(examined); w.examineAgain() }()
	health.Watch{Config: w.cfg.Load, Found: w.found}.Run(ctx, w.backends)
	<-examined
	w.notify(daemon.SdNotifyStopping)
	close(w.unnotified)
	<-told
	return w.last()
}

// examineAgain looks for what stands in the way of FTP on this host, until the watch ends. It has a loop of its own, as it may take
// seconds.
func (w *watcher) examineAgain() {
	for {
		found := w.watchHost(w.ctx, w.cfg.Load())
		w.troubles.Store(&found)
		select {
		case <-w.ctx.Done():
			return
		case <-w.Clock.After(examineEvery):
		}
	}
}

// reloads reloads the configuration on SIGHUP, until stop is called.
func (w *watcher) reloads() (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			w.reload()
		}
	}()
	return func() { signal.Stop(hangup); close(hangup) }
}

func (w *watcher) reload() {
	in, err := w.serving()
	if err == nil {
		err = in.broken
	}
	w.brokenNow(err)
	if err != nil {
		w.Log.Error("the new configuration is refused, the old one stays", "err", err)
		return
	}
	w.cfg.Store(in.cfg)
	w.Log.Info("configuration reloaded")
}

// reloadAfterChange reloads after an apply or a rollback: they send no signal to a watch.
func (w *watcher) reloadAfterChange() {
	if r, err := w.record(); err == nil && !lastChange(r).Equal(w.changed) {
		w.changed = lastChange(r)
		w.reload()
	}
}

// lastChange is when what is in force changed last.
func lastChange(r inforce.Record) time.Time {
	if r.Current != nil && r.Current.At.After(r.RolledBack) {
		return r.Current.At
	}
	return r.RolledBack
}

// brokenNow notes why the configuration file cannot be used; nil: it can.
func (w *watcher) brokenNow(err error) {
	w.brokenMu.Lock()
	defer w.brokenMu.Unlock()
	w.broken = err
}

// whyBroken is what brokenNow noted.
func (w *watcher) whyBroken() error {
	w.brokenMu.Lock()
	defer w.brokenMu.Unlock()
	return w.broken
}

// found settles the findings of a look. It logs errors; the next call tries again.
func (w *watcher) found(found health.Found) (known health.File, judged bool) {
	now := w.Clock.Now()
	cfg := w.cfg.Load()
	write := when{state: now.Sub(w.saved) >= saveEvery, kernel: now.Sub(w.synced) >= slotsEvery, wait: watchWait}
	done, err := w.settle(w.ctx, cfg, w.backends, found, write)
	if err != nil && w.ctx.Err() == nil {
		w.Log.Error("cannot apply the results of a health check", "err", err)
	}
	if done.next.Backends == nil {
		return w.backends, false
	}
	w.backends = done.next
	changed := len(done.events) > 0
	if write.state || changed {
		w.saved = now
		w.reloadAfterChange()
		done.report.Broken(w.whyBroken())
		if found := w.troubles.Load(); found != nil {
			done.report.Troubles = *found
		}
		if w.textfile != "" {
			if err := health.WriteTextfile(w.textfile, done.report); err != nil {
				w.Log.Error(err.Error())
			}
		}
	}
	if err == nil && write.kernel { // a change alone looks at its own pools
		w.synced = now
	} else if err != nil {
		w.synced = time.Time{} // retry soon
	}
	for _, warning := range done.report.Warnings {
		w.Log.Debug(warning)
	}
	w.logEvents(done.events)
	if err := w.resetDown(w.ctx, cfg, done.events); err != nil {
		w.Log.Error(err.Error())
	}
	w.enqueue(cfg, done.events)
	if w.watchdog > 0 && now.Sub(w.watchdogSent) >= w.watchdog/4 {
		w.watchdogSent = now
		w.notify(daemon.SdNotifyWatchdog)
	}
	return w.backends, true
}

// enqueue hands events to notifyAll. If the queue is full, the history says that no notify command ran.
func (w *watcher) enqueue(cfg *configs.Config, events []judge.Event) {
	if len(events) == 0 {
		return
	}
	select {
	case w.unnotified <- unnotified{cfg, events}:
		return
	default:
	}
	for i := range events {
		events[i].Did = append(events[i].Did, "NOT notified: too many changes wait for their commands already")
	}
	if err := health.AppendHistory(w.StateDir, events); err != nil {
		w.Log.Error(err.Error())
	}
}

// notifyAll runs until the queue is closed and empty, also while the watch is ending.
func (w *watcher) notifyAll() {
	for u := range w.unnotified {
		if err := w.notifyAndRecord(context.WithoutCancel(w.ctx), u.cfg, u.events); err != nil {
			w.Log.Error(err.Error())
		}
	}
}

// last writes the state when the watch ends.
func (w *watcher) last() error {
	unlock, err := w.lockChange(context.WithoutCancel(w.ctx))
	if err != nil {
		return err
	}
	defer unlock()
	return w.backends.Save(w.StateDir)
}

// notify notifies systemd, if it is the parent.
func (w *watcher) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		w.Log.Warn("cannot notify systemd", "state", state, "err", err)
	}
}
