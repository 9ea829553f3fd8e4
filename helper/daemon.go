// Package helper is the conntrack helper as a daemon: it reads FTP control packets from NFQUEUE, lets
// helper/ftp decide what becomes of them, creates the expectations that helper/ftp asks for, and gives the
// packets back. What of a line has gone on is kept in a file for the next helper; all else conntrack and TCP know as
// well: after a restart it picks running sessions up in the middle.
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

// Options are what a helper is told besides its configuration.
type Options struct {
	Version string       // for those who ask
	Socket  string       // path of the unix socket for those who ask; "": none
	Memory  *recall.File // what sessions remember for the next helper; nil: nothing
}

// Daemon is the helper.
type Daemon struct {
	log     *slog.Logger
	limit   *ratelimit.Handler
	cfg     configs.Helper
	opts    Options
	pid     int
	started time.Time

	view     atomic.Pointer[view]
	sessions *table
	flows    *flows
	earlier  *track.Earlier
	quota    *quota
	elders   *elders
	spoilt   spoilt
	count    counters
	holding  atomic.Int64 // packets that wait for the rest of their line
	deaf     atomic.Bool  // conntrack does not tell us of its events

	workers  []*worker
	asker    track.Tracker // for what no packet waits for
	retired  chan retirement
	drops    drops
	stopping atomic.Bool   // sessions end here, and go on without us
	closing  atomic.Uint32 // the part of the table that findClosed looked at last
}

// New makes a daemon for a configuration. It does nothing before Run.
func New(cfg *configs.Config, log *slog.Logger, opts Options) *Daemon {
	limit := ratelimit.New(log.Handler())
	d := &Daemon{
		log: slog.New(limit), limit: limit, cfg: cfg.Helper, opts: opts, pid: os.Getpid(), started: time.Now(),
		sessions: newTable(), flows: newFlows(), earlier: track.NewEarlier(), quota: newQuota(), elders: newElders(), retired: make(chan retirement, maxRetired),
	}
	d.view.Store(viewHere(cfg))
	for i := range cfg.Helper.Queues {
		d.workers = append(d.workers, newWorker(cfg.Helper.FirstQueue+uint16(i)))
	}
	return d
}

// viewHere is the view of a configuration, with limits that this host can hold.
func viewHere(cfg *configs.Config) *view {
	v := newView(cfg)
	v.limits.MaxData = awaitedLimit(v.limits.MaxData, hostNumber("nf_conntrack_expect_max"))
	return v
}

// Run binds the queues, tells systemd that it is ready, and works until ctx ends. The error says why it could
// not start; a nil error means that it was asked to stop.
func (d *Daemon) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	var tasks sync.WaitGroup
	listening := make(chan struct{})
	tasks.Go(func() { d.hear(inner, listening) })
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
	tasks.Go(func() { d.meetElders(inner, counted) })
	d.elders.list()
	d.examineHost()
	tasks.Go(func() { d.clerk(inner) })
	tasks.Go(func() { d.feedAll(inner) })
	select {
	case <-counted: // or else the first sessions would count as picked up
	case <-ctx.Done():
	}
	d.log.Info("ready", "version", d.opts.Version, "first_queue", d.cfg.FirstQueue, "queues", d.cfg.Queues)
	d.notify(daemon.SdNotifyReady)
	d.keepHouse(ctx)
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

// start opens a queue and a conntrack socket for each, so that queues do not wait for one another.
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

// serve starts to answer those who ask. Metrics that were asked for must be had; the socket is a convenience, and
// without it sessions go on as well.
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

// Reload takes a new configuration: sessions that begin from now on follow it, and running ones do where their VIP is
// still there. What the kernel's queues and sockets depend on stays as it was until the helper is started again.
func (d *Daemon) Reload(cfg *configs.Config) {
	v := viewHere(cfg)
	if v.adds(d.view.Load()) { // packets of new VIPs may have passed unread so far
		d.elders.expect()
		defer d.elders.list()
	}
	d.view.Store(v)
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

// keepHouse does what is to be done now and then, until ctx ends.
func (d *Daemon) keepHouse(ctx context.Context) {
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
