package helper

import (
	"log/slog"
	"net/netip"
	"time"
)

// noGap is what the reader needs to fetch a packet that waits already: a shorter pause is work.
const noGap = 15 * time.Microsecond

// charge counts the time since now for a packet. Packets of the server count for the client, too: they answer its commands.
func (d *Daemon) charge(w *worker, client netip.Addr, now time.Time, took time.Duration) {
	begun := d.moment(now)
	gap := time.Duration(begun - w.idle)
	w.idle = begun + moment(took)
	if !client.IsValid() {
		return
	}
	if gap < noGap {
		took += gap
	}
	w.shares.Charge(time.Duration(w.idle), client, took)
}

// throttled reports whether a client's packet must be dropped because the client keeps one of the queues so busy that others
// wait. Commands and replies of a session may use different queues.
func (d *Daemon) throttled(client netip.Addr, now time.Time) bool {
	for _, w := range d.workers {
		over, warn := w.shares.Over(time.Duration(d.moment(now)), client)
		if !over {
			continue
		}
		d.count.throttled.Add(1)
		if warn {
			d.warnThrottled(client)
		}
		return true
	}
	return false
}

func (d *Daemon) warnThrottled(client netip.Addr) {
	const message = "a client sends more than the helper can read beside the others' packets; what is beyond its share is " +
		"dropped, and its TCP slows down; no other client is affected. If it is not welcome, see deny and limits of the VIP " +
		"(connections_per_client, new_per_second_per_client); if it is, raise helper.queues"
	if log := d.limited(slog.LevelWarn, message, client); log != nil {
		log.Warn(message, "client", client)
	}
}
