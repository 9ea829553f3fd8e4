package helper

import (
	"context"
	"errors"
	"time"

	"ftpvip/helper/track"
)

// Limits of how often control connections are refreshed.
const (
	refreshLeast = time.Second
	refreshMost  = time.Minute
)

// refreshAll keeps conntrack from forgetting control connections that are silent because their data connections are at work, until
// ctx ends: nf_conntrack_tcp_timeout_established may be shorter than a transfer.
func (d *Daemon) refreshAll(ctx context.Context) {
	for {
		timeout := time.Duration(hostNumber("nf_conntrack_tcp_timeout_established")) * time.Second
		wait := min(max(timeout/4, refreshLeast), refreshMost)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if timeout > 0 {
			d.refresh(time.Now(), wait, timeout)
		}
	}
}

// refresh refreshes the sessions that have been silent for a while and have a data connection that is at work.
func (d *Daemon) refresh(now time.Time, silent, timeout time.Duration) {
	for part := range shards {
		for _, s := range d.sessions.idle(part, d.moment(now.Add(-silent))) {
			s.mu.Lock()
			book := s.pages()
			skip := s.ended || s.told || !book.AnyOpen()
			open := book.Open()
			s.mu.Unlock()
			if skip {
				continue
			}
			for _, f := range open[max(0, len(open)-maxInspect):] {
				in, err := d.asker.Inspect(f.Src, f.Dst)
				if err != nil || in.Ended {
					continue
				}
				if err := d.asker.Refresh(s.conn, timeout); err != nil && !errors.Is(err, track.ErrNoConnection) {
					d.log.Debug("cannot refresh a control connection during a transfer", "client", s.conn.Client, "err", err)
				}
				break
			}
		}
	}
}
