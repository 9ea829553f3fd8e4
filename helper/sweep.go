package helper

import (
	"errors"
	"time"

	"ftpvip/helper/track"
)

const (
	sweepEvery = time.Second      // how often the table is swept for sessions whose ending went unheard
	sweepMost  = 500              // about how many sessions conntrack is asked at a time: some 10 ms
	sweepAfter = 10 * time.Minute // how long a session is silent before it is asked about
)

// sweeper goes through the table, a part of it at a time, or less where too many sessions of the part are silent. With
// 30,000 silent sessions it has seen all in about a minute.
type sweeper struct {
	part int        // that is next
	rest []*session // of the part before
}

// sweep asks conntrack about sessions that were silent for long.
func (d *Daemon) sweep(w *sweeper, now time.Time) {
	if d.asker == nil {
		return
	}
	silent := d.moment(now.Add(-sweepAfter))
	if len(w.rest) == 0 {
		w.rest = d.sessions.idle(w.part, silent)
		w.part = (w.part + 1) % shards
	}
	n := min(len(w.rest), sweepMost)
	for _, s := range w.rest[:n] {
		if s.lastSeen() >= silent { // it has spoken since it was listed
			continue
		}
		c, err := d.asker.Lookup(s.conn.VIP, s.conn.Client)
		if errors.Is(err, track.ErrNoConnection) || err == nil && c.ID != s.conn.ID { // its ports may be another's by now
			d.forget(s.conn, endLost)
		}
	}
	if w.rest = w.rest[n:]; len(w.rest) == 0 {
		w.rest = nil // or the sessions would be kept
	}
}
