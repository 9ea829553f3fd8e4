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
	"ftpvip/helper/observe"
)

// lookEvery is how often the host's state is looked at.
const lookEvery = 10 * time.Second

// hostSetting reads a setting of this network namespace's conntrack; "" where it has none.
func hostSetting(name string) string {
	b, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// hostNumber is hostSetting for numbers; 0 where it has none.
func hostNumber(name string) uint64 {
	n, err := strconv.ParseUint(hostSetting(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// awaitedLimit is how many data connections may be announced and not open: helper.max_data, but not more than the kernel
// takes. Otherwise the kernel would refuse what the limit allows, whoever the client is. A room of 0 is unknown.
func awaitedLimit(maxData int, room uint64) int {
	if room > 0 && (maxData == 0 || uint64(maxData) > room) {
		return int(room)
	}
	return maxData
}

// examineLimit says that the limit in force is not helper.max_data.
func (d *Daemon) examineLimit(maxData int) {
	level := slog.LevelWarn
	if maxData == configs.DefaultMaxData { // nobody asked for so many
		level = slog.LevelInfo
	}
	if limit := d.view.Load().limits.MaxData; limit < maxData {
		d.log.Log(context.Background(), level, "helper.max_data is above net.netfilter.nf_conntrack_expect_max, which is the limit in force; remedy: "+
			"sysctl -w net.netfilter.nf_conntrack_expect_max="+strconv.Itoa(maxData)+", then reload the helper",
			"max_data", maxData, "nf_conntrack_expect_max", limit)
	}
}

// examineHost says what the host's settings keep from us. ftpvip does not change them.
func (d *Daemon) examineHost() {
	d.examineLimit(d.cfg.MaxData)
	if hostSetting("nf_conntrack_acct") == "0" {
		d.log.Info("bytes of transfers are not counted; to count those of connections that begin from then on: " +
			"sysctl -w net.netfilter.nf_conntrack_acct=1")
	}
	if hostSetting("nf_conntrack_events") == "0" {
		d.log.Warn("conntrack tells of no events, so data connections cannot be followed and ends of sessions are noticed " +
			"late; remedy: sysctl -w net.netfilter.nf_conntrack_events=1")
	}
}

// drops remembers what queues had dropped already.
type drops struct {
	queues map[uint16]uint64
	full   bool // the conntrack table was
}

// lookAround warns of what loses packets outside of this process.
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

// watchdog is systemd's, which restarts us when it is not fed (sd_notify(3), WATCHDOG=1).
type watchdog struct {
	every time.Duration
	limit time.Duration // for the handling of one packet
	last  []pulse       // of each worker, at the feed before
}

// pulse is what a worker's loop is judged by.
type pulse struct {
	handled uint64
	waiting bool // packets waited for it
}

// watchdog returns nil where systemd wants no feeding.
func (d *Daemon) watchdog() *watchdog {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("cannot make sense of the watchdog's settings in the environment", "err", err)
	}
	if err != nil || limit <= 0 {
		return nil
	}
	return &watchdog{every: limit / 3, limit: limit / 3}
}

// feedAll feeds the watchdog until ctx ends. It is a loop of its own, so that nothing else that the daemon does now and
// then, conntrack's answers included, keeps the watchdog waiting.
func (d *Daemon) feedAll(ctx context.Context) {
	dog := d.watchdog()
	if dog == nil {
		return
	}
	feed := time.NewTicker(dog.every)
	defer feed.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-feed.C:
			d.feed(dog, now)
		}
	}
}

// feed feeds the watchdog, if every loop does its work.
func (d *Daemon) feed(dog *watchdog, now time.Time) {
	queues, err := observe.Queues()
	if err != nil {
		d.log.Warn("cannot read the state of the queues", "err", err)
	}
	stuck := dog.stuck(now, d.workers, queues)
	if len(stuck) > 0 {
		d.log.Error("queue loops are stuck; the service manager will restart the helper if that lasts", "queues", stuck)
		return
	}
	d.notify(daemon.SdNotifyWatchdog)
}

// stuck lists the queues whose loop is at one packet for long, or has had packets waiting for it since the last time
// and took none. A loop that waits for a packet is well.
func (w *watchdog) stuck(now time.Time, workers []*worker, queues map[uint16]observe.QueueState) (stuck []uint16) {
	pulses := make([]pulse, 0, len(workers))
	for i, worker := range workers {
		p := pulse{handled: worker.handled.Load(), waiting: queues[worker.number].Waiting > 0}
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
