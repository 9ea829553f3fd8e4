// Package helper is the conntrack helper as a daemon: it reads FTP control packets from NFQUEUE, lets
// helper/ftp decide what becomes of them, creates the expectations that helper/ftp asks for, and gives the
// packets back. It keeps nothing that conntrack and TCP do not know as well: after a restart it picks running
// sessions up in the middle.
package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/packet"
)

// How often the table is swept for sessions whose ending went unheard, and how long a session is silent
// before conntrack is asked about it.
const (
	sweepEvery = time.Minute
	sweepAfter = 10 * time.Minute
	rewatch    = time.Second // pause before listening to conntrack's events again
)

// Daemon is the helper.
type Daemon struct {
	log      *slog.Logger
	cfg      configs.Helper
	view     atomic.Pointer[view]
	sessions *table
	queues   []*queue
	trackers []Tracker
}

// New makes a daemon for a configuration. It does nothing before Run.
func New(cfg *configs.Config, log *slog.Logger) *Daemon {
	d := &Daemon{log: log, cfg: cfg.Helper, sessions: newTable()}
	d.view.Store(newView(cfg))
	return d
}

// Reload takes a new configuration for sessions that begin from now on. The number of queues stays.
func (d *Daemon) Reload(cfg *configs.Config) {
	d.view.Store(newView(cfg))
	if cfg.Helper != d.cfg {
		d.log.Warn("helper settings take effect at the next start of the helper")
	}
}

// Run binds the queues, tells systemd that it is ready, and works until ctx ends. The error says why it could
// not start; a nil error means that it was asked to stop.
func (d *Daemon) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := d.start(inner); err != nil {
		cancel()
		return errors.Join(err, d.stop())
	}
	d.log.Info("ready", "first_queue", d.cfg.FirstQueue, "queues", d.cfg.Queues)
	d.notify(daemon.SdNotifyReady)
	d.keepTable(ctx)
	d.notify(daemon.SdNotifyStopping)
	d.log.Info("stopping")
	cancel()
	return d.stop()
}

// start opens a queue and a conntrack socket for each, so that queues do not wait for one another.
func (d *Daemon) start(ctx context.Context) error {
	for i := range d.cfg.Queues {
		tracker, err := OpenTracker()
		if err != nil {
			return err
		}
		d.trackers = append(d.trackers, tracker)
		number := d.cfg.FirstQueue + uint16(i)
		q, err := openQueue(ctx, number, d.log, func(q *queue, id uint32, b []byte) { d.handle(q, tracker, id, b) })
		if err != nil {
			return err
		}
		d.queues = append(d.queues, q)
	}
	return nil
}

func (d *Daemon) stop() error {
	var errs []error
	for _, q := range d.queues {
		errs = append(errs, q.close())
	}
	for _, s := range d.sessions.all() {
		s.end()
	}
	for _, t := range d.trackers {
		errs = append(errs, t.Close())
	}
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

// handle gives one packet its verdict, or leaves it to its session.
func (d *Daemon) handle(q verdicts, tracker Tracker, id uint32, b []byte) {
	p, err := packet.Parse(b)
	if err != nil {
		d.log.Warn("a queued packet cannot be read and passes", "err", err)
		d.accept(q, id)
		return
	}
	s := d.sessions.find(path{p.Src, p.Dst})
	if s == nil {
		if s = d.begin(tracker, &p); s == nil {
			d.accept(q, id)
			return
		}
	}
	if err := s.handle(q, id, p, time.Now()); err != nil {
		s.log.Warn("cannot give a packet its verdict", "err", err)
	}
}

// accept lets a packet pass unread.
func (d *Daemon) accept(q verdicts, id uint32) {
	if err := q.accept(id); err != nil {
		d.log.Warn("cannot give a packet its verdict", "err", err)
	}
}

// begin makes the session of a packet that belongs to none. It returns nil where the packet is none of ours.
func (d *Daemon) begin(tracker Tracker, p *packet.Packet) *session {
	conn, err := tracker.Lookup(p.Src, p.Dst)
	if err != nil {
		d.log.Warn("a packet passes unread", "src", p.Src, "dst", p.Dst, "err", err)
		return nil
	}
	vip := d.view.Load().vips[conn.VIP]
	if vip == nil {
		d.log.Warn("a packet passes unread: its VIP is not in the configuration that the helper runs with; "+
			"reload the helper after apply", "vip", conn.VIP, "client", conn.Client)
		return nil
	}
	policy, backend := vip.policyFor(conn.Backend)
	s := &session{
		conn: conn, vip: vip.name, backend: backend, tracker: tracker, seen: time.Now(),
		log: d.log.With("vip", vip.name, "backend", backend, "client", conn.Client),
	}
	s.engine = ftp.NewSession(ftp.Endpoints{
		Client: conn.Client, VIP: conn.VIP, Backend: conn.Backend, Seen: conn.Seen.Addr(),
	}, policy, s)
	s.engine.OnEvent(s.event)
	current, stale := d.sessions.add(s)
	if stale != nil {
		stale.end()
	}
	if current == s {
		s.log.Debug("session begins")
	}
	return current
}

// keepTable removes sessions that have ended, until ctx ends.
func (d *Daemon) keepTable(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for ctx.Err() == nil {
		ended := make(chan conntrack.Event, 1024)
		conn, failed, err := watchEnded(ended)
		if err != nil {
			d.log.Warn("cannot listen to conntrack's events; sessions are swept instead", "err", err)
		}
		d.watch(ctx, ended, failed, sweep.C)
		if conn != nil {
			closeWatch(conn, ended)
		}
	}
}

// watch works until ctx ends or the events do.
func (d *Daemon) watch(ctx context.Context, ended <-chan conntrack.Event, failed <-chan error, sweep <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-ended:
			if e.Flow != nil {
				d.forget(connectionOf(e.Flow))
			}
		case err := <-failed:
			d.log.Warn("conntrack's events broke off; listening anew", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(rewatch):
			}
			return
		case now := <-sweep:
			d.sweep(now)
		}
	}
}

// closeWatch ends the listening, emptying the channel on which its worker may wait.
func closeWatch(conn *conntrack.Conn, ended <-chan conntrack.Event) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.Close() // the socket is given up either way
	}()
	for {
		select {
		case <-ended:
		case <-done:
			return
		}
	}
}

func (d *Daemon) forget(c Connection) {
	if s := d.sessions.remove(c); s != nil {
		s.end()
	}
}

// sweep asks conntrack about sessions that were silent for long.
func (d *Daemon) sweep(now time.Time) {
	if len(d.trackers) == 0 {
		return
	}
	for _, s := range d.sessions.idle(now.Add(-sweepAfter)) {
		_, err := d.trackers[0].Lookup(s.conn.VIP, s.conn.Client)
		if errors.Is(err, ErrNoConnection) {
			d.forget(s.conn)
		}
	}
}
