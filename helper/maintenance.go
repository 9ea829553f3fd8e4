package helper

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"ftpvip/configs"
)

// lookEvery is how often the state of the host is checked.
const lookEvery = 10 * time.Second

// hostSetting reads a conntrack setting of this network namespace; "" if there is none.
func hostSetting(name string) string {
	b, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// hostNumber is hostSetting for numbers; 0 if there is none.
func hostNumber(name string) uint64 {
	n, err := strconv.ParseUint(hostSetting(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// awaitedLimit is how many data connections may be announced and not yet open: helper.max_data, but not more than the kernel
// accepts. Otherwise the kernel would refuse announcements of any client. A room of 0 is unknown.
func awaitedLimit(maxData int, room uint64) int {
	if room > 0 && (maxData == 0 || uint64(maxData) > room) {
		return int(room)
	}
	return maxData
}

// examineLimit logs that the limit in force is below helper.max_data.
func (d *Daemon) examineLimit(maxData int) {
	level := slog.LevelWarn
	if maxData == configs.DefaultMaxData { // not configured
		level = slog.LevelInfo
	}
	if limit := d.view.Load().limits.MaxData; limit < maxData {
		d.log.Log(context.Background(), level, "helper.max_data is above net.netfilter.nf_conntrack_expect_max, which is the limit in force; remedy: "+
			"sysctl -w net.netfilter.nf_conntrack_expect_max="+strconv.Itoa(maxData)+", then reload the helper",
			"max_data", maxData, "nf_conntrack_expect_max", limit)
	}
}

// examineHost logs settings of the host that limit the helper. ftpvip does not change them.
func (d *Daemon) examineHost() {
	d.examineLimit(d.cfg.MaxData)
	if hostSetting("nf_conntrack_acct") == "0" {
		d.log.Info("bytes of transfers are not counted; to count those of connections that begin from then on: " +
			"sysctl -w net.netfilter.nf_conntrack_acct=1")
	}
	if hostSetting("nf_conntrack_events") == "0" {
		d.log.Warn("conntrack events are off, so data connections cannot be followed and ends of sessions are noticed " +
			"late; remedy: sysctl -w net.netfilter.nf_conntrack_events=1")
	}
}

// drops is what the queues had dropped when we last looked.
type drops struct {
	queues map[uint16]uint64
	full   bool // the conntrack table was
}

// lookAround warns about packet loss outside of this process.
func (d *Daemon) lookAround() {
	if d.drops.queues == nil {
		d.drops.queues = map[uint16]uint64{}
	}
	for _, q := range d.queueFigures() {
		now := uint64(q.Dropped) + uint64(q.UserDropped)
		if before := d.drops.queues[q.Number]; now > before {
			d.log.Warn("the kernel dropped control packets, for TCP to send them again: the helper could not keep up; "+
				"raise helper.queues if this goes on", "queue", q.Number, "packets", now-before,
				"queue_full", q.Dropped, "socket_full", q.UserDropped)
		}
		d.drops.queues[q.Number] = now
	}
	room := conntrackFigures()
	full := nearlyFull(room)
	if full && !d.drops.full {
		d.log.Warn("the conntrack table is nearly full: the kernel will refuse new connections, data connections too; "+
			"raise net.netfilter.nf_conntrack_max", "connections", room.Entries, "max", room.Limit, "dropped", room.Dropped)
	}
	d.drops.full = full
}

// watchdog is the watchdog of systemd, which restarts us if it is not notified in time (sd_notify(3), WATCHDOG=1).
type watchdog struct {
	every time.Duration
	limit time.Duration // for the handling of one packet
	last  []pulse       // of each worker, at the last notification
}

// pulse is how far a worker's loop has come.
type pulse struct {
	handled uint64
	waiting bool // packets waited for it
}

// watchdog returns nil if systemd has no watchdog for us.
func (d *Daemon) watchdog() *watchdog {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("cannot parse the watchdog's settings in the environment", "err", err)
	}
	if err != nil || limit <= 0 {
		return nil
	}
	return &watchdog{every: limit / 3, limit: limit / 3}
}

// feedAll notifies the watchdog until ctx ends. It has its own loop, so that no periodic work, such as a slow answer of
// conntrack, delays the notification.
func (d *Daemon) feedAll(ctx context.Context) {
	watchdog := d.watchdog()
	if watchdog == nil {
		return
	}
	feed := time.NewTicker(watchdog.every)
	defer feed.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-feed.C:
			d.feed(watchdog, now)
		}
	}
}

// feed notifies the watchdog if every worker makes progress.
func (d *Daemon) feed(watchdog *watchdog, now time.Time) {
	stuck := watchdog.stuck(now, d.workers, (*worker).packetsWait)
	if len(stuck) > 0 {
		d.log.Error("queue loops are stuck; the service manager will restart the helper if that lasts", "queues", stuck)
		return
	}
	d.notify(daemon.SdNotifyWatchdog)
}

// packetsWait reports whether the worker's socket holds packets that it has not read.
func (w *worker) packetsWait() bool { return w.queue != nil && w.queue.nf.Readable() }

// stuck lists the queues whose worker has been busy with one packet for too long, or has taken none since the last time
// although packets waited. A worker that waits for packets is fine.
func (w *watchdog) stuck(now time.Time, workers []*worker, packetsWait func(*worker) bool) (stuck []uint16) {
	pulses := make([]pulse, 0, len(workers))
	for i, worker := range workers {
		p := pulse{handled: worker.handled.Load(), waiting: packetsWait(worker)}
		pulses = append(pulses, p)
		since := worker.busy.Load()
		long := since != 0 && now.Sub(time.Unix(0, since)) > w.limit
		idle := i < len(w.last) && p.waiting && w.last[i].waiting && p.handled == w.last[i].handled
		if long || idle {
			stuck = append(stuck, worker.number)
		}
	}
	w.last = pulses
	slices.Sort(stuck)
	return stuck
}
