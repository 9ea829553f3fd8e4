// Package helper is the conntrack helper as a daemon. It reads FTP control packets from NFQUEUE, asks helper/ftp for their
// verdicts, creates the expectations that helper/ftp asks for, and returns the verdicts to the kernel. After a restart it
// picks up running sessions in the middle: conntrack and TCP know almost everything about them. Only which part of a line has
// been forwarded is kept in a file for the next helper.
package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"ftpvip/configs"
	"ftpvip/helper/live"
	"ftpvip/helper/metrics"
	"ftpvip/helper/ratelimit"
	"ftpvip/helper/recall"
	"ftpvip/helper/track"
)

// Options are the settings of a helper that are not in the configuration.
type Options struct {
	Version string       // for status
	Config  string       // id of the configuration, for status
	Socket  string       // path of the unix socket for status and sessions; "": none
	Memory  *recall.File // state of sessions for the next helper; nil: none is kept
}

// Daemon is the helper.
type Daemon struct {
	log     *slog.Logger
	limit   *ratelimit.Handler
	cfg     configs.Helper
	opts    Options
	pid     int
	started time.Time

	view        atomic.Pointer[view]
	config      atomic.Pointer[string] // its id
	sessions    *table
	flows       *flows
	earlier     *track.Earlier
	quota       *quota
	preexisting *preexisting
	spoilt      spoilt
	noSlice     noSlice
	zones       zoneSearch
	count       counters
	holding     atomic.Int64 // packets that wait for the rest of their line
	eventsLost  atomic.Bool  // conntrack events are not received

	workers  []*worker
	asker    track.Tracker // for queries that no packet waits for
	retired  chan retirement
	drops    drops
	stopping atomic.Bool   // the helper is stopping; the sessions continue without it
	closing  atomic.Uint32 // the part of the table that findClosed looked at last
}

// New returns a daemon for a configuration. It does nothing before Run.
func New(cfg *configs.Config, log *slog.Logger, opts Options) *Daemon {
	limit := ratelimit.New(log.Handler())
	d := &Daemon{
		log: slog.New(limit), limit: limit, cfg: cfg.Helper, opts: opts, pid: os.Getpid(), started: time.Now(),
		sessions: newTable(), flows: newFlows(), earlier: track.NewEarlier(), quota: newQuota(), preexisting: newPreexisting(), retired: make(chan retirement, maxRetired),
	}
	d.view.Store(viewHere(cfg))
	d.config.Store(&opts.Config)
	for i := range cfg.Helper.Queues {
		d.workers = append(d.workers, newWorker(cfg.Helper.FirstQueue+uint16(i)))
	}
	return d
}

// viewHere is the view of a configuration, with limits that this host supports.
func viewHere(cfg *configs.Config) *view {
	v := newView(cfg)
	v.limits.MaxData = awaitedLimit(v.limits.MaxData, hostNumber("nf_conntrack_expect_max"))
	return v
}

// Run binds the queues, notifies systemd, and works until ctx ends. The error says why it could not start; nil means that it
// was asked to stop.
func (d *Daemon) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	var tasks sync.WaitGroup
	listening := make(chan struct{})
	tasks.Go(func() { d.listenToEvents(inner, listening) })
	tasks.Go(func() { d.listenToExpectations(inner) })
	<-listening // before the first data connection is announced
	err := d.start(inner)
	var closers []interface{ Close() error }
	if err == nil {
		closers, err = d.serve(ctx)
	}
	if err != nil {
		cancel()
		tasks.Wait()
		return errors.Join(err, d.stop())
	}
	counted := make(chan struct{})
	tasks.Go(func() { d.listPreexisting(inner, counted) })
	d.preexisting.list()
	d.examineHost()
	tasks.Go(func() { d.accountant(inner) })
	tasks.Go(func() { d.feedAll(inner) })
	tasks.Go(func() { d.refreshAll(inner) })
	select {
	case <-counted: // otherwise the first sessions would count as picked up
	case <-ctx.Done():
	}
	d.log.Info("ready", "version", d.opts.Version, "first_queue", d.cfg.FirstQueue, "queues", d.cfg.Queues)
	d.notify(daemon.SdNotifyReady)
	d.maintain(ctx)
	d.notify(daemon.SdNotifyStopping)
	d.log.Info("stopping")
	cancel()
	tasks.Wait()
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, d.stop())...)
}

// start opens a queue and a conntrack socket for each worker, so that the queues do not wait for each other.
func (d *Daemon) start(ctx context.Context) (err error) {
	if d.asker, err = track.Open(d.earlier); err != nil {
		return err
	}
	for _, w := range d.workers {
		if w.tracker, err = track.Open(d.earlier); err != nil {
			return err
		}
		w.queue, err = openQueue(ctx, w.number, &w.gone, d.log, func(q *queue, id uint32, b []byte) { d.handle(w, q, id, b) })
		if err != nil {
			return err
		}
	}
	return nil
}

// serve starts the metrics server and the unix socket. If metrics are configured, they must work; the helper runs without the
// socket.
func (d *Daemon) serve(ctx context.Context) (closers []interface{ Close() error }, err error) {
	if d.cfg.Metrics.IsValid() {
		s, err := metrics.Listen(ctx, d.cfg.Metrics, d.Figures)
		if err != nil {
			return nil, err
		}
		closers = append(closers, s)
	}
	if d.opts.Socket != "" {
		s, err := live.Listen(ctx, d.opts.Socket, d, d.log)
		if err != nil {
			d.log.Warn("`ftpvip sessions` and the live part of `ftpvip status` will not work", "err", err)
			return closers, nil
		}
		closers = append(closers, s)
	}
	return closers, nil
}

func (d *Daemon) stop() error {
	var errs []error
	for _, w := range d.workers {
		if w.queue != nil {
			errs = append(errs, w.queue.close())
		}
	}
	d.stopping.Store(true)
	d.concludeAll()
	for _, w := range d.workers {
		if w.tracker != nil {
			errs = append(errs, w.tracker.Close())
		}
	}
	if d.asker != nil {
		errs = append(errs, d.asker.Close())
	}
	d.limit.Flush(context.Background(), time.Now())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping the helper: %w", err)
	}
	return nil
}

func (d *Daemon) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		d.log.Warn("cannot notify the service manager", "err", err)
	}
}

// Reload takes a new configuration. New sessions follow it, and running ones if their VIP is still configured. The settings of
// queues and sockets stay as they are until the helper is restarted.
func (d *Daemon) Reload(cfg *configs.Config, id string) {
	v := viewHere(cfg)
	if v.adds(d.view.Load()) { // packets of new VIPs may have passed unread so far
		d.preexisting.expect()
		defer d.preexisting.list()
	}
	d.view.Store(v)
	d.config.Store(&id)
	d.examineLimit(cfg.Helper.MaxData)
	kept := 0
	for _, s := range d.sessions.all() {
		if !s.adopt(v) {
			kept++
		}
	}
	if kept > 0 {
		d.log.Info("sessions of VIPs that are no longer configured go on under their old policy", "sessions", kept)
	}
	for name, changed := range map[string]bool{
		"helper.queues":      cfg.Helper.Queues != d.cfg.Queues,
		"helper.first_queue": cfg.Helper.FirstQueue != d.cfg.FirstQueue,
		"helper.metrics":     cfg.Helper.Metrics != d.cfg.Metrics,
	} {
		if changed {
			d.log.Warn("a changed setting takes effect only when the helper is started again; "+
				"until then keep `ftpvip apply` from using it", "setting", name)
		}
	}
}

// maintain does periodic work until ctx ends.
func (d *Daemon) maintain(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var s sweeper
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			d.lookAround()
			d.findClosed(now)
			d.limit.Flush(ctx, time.Now())
		case now := <-sweep.C:
			d.sweep(&s, now)
		}
	}
}
