package helper

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ti-mo/conntrack"

	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// rewatch is the pause before listening to conntrack's events again.
const rewatch = time.Second

// hear listens to conntrack's events until ctx ends. It closes ready when it listens, or cannot.
func (d *Daemon) hear(ctx context.Context, ready chan struct{}) {
	begun := sync.OnceFunc(func() { close(ready) })
	for ctx.Err() == nil {
		err := d.listen(ctx, begun)
		begun()
		if ctx.Err() != nil {
			return
		}
		d.deaf.Store(true)
		d.log.Warn("cannot listen to conntrack's events; meanwhile endings of sessions are found by looking for them, "+
			"and openings of data connections are missed", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// listen listens until something goes wrong or ctx ends.
func (d *Daemon) listen(ctx context.Context, begun func()) error {
	conn, err := track.OpenEvents()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // makes Receive return
	defer func() {
		if stop() {
			_ = conn.Close() // the socket is given up either way
		}
	}()
	d.deaf.Store(hostSetting("nf_conntrack_events") == "0")
	begun()
	for {
		messages, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("receiving conntrack's events: %w", err)
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				d.log.Warn("an event of conntrack cannot be read", "err", err)
				continue
			}
			d.happened(&e)
		}
	}
}

// happened tells the session that an event concerns.
func (d *Daemon) happened(e *conntrack.Event) {
	f := e.Flow
	if f == nil {
		return
	}
	flow := journal.Flow{Src: track.Source(f.TupleOrig), Dst: track.Destination(f.TupleOrig)}
	switch e.Type {
	case conntrack.EventNew:
		d.earlier.Add(f)
		d.dataOpened(path{track.Destination(f.TupleMaster), track.Source(f.TupleMaster)}, flow)
	case conntrack.EventDestroy:
		d.earlier.Remove(f)
		if s := d.flows.take(flow); s != nil {
			fate := track.InspectionOf(f).Fate
			fate.Gone = true
			d.dataClosed(s, flow, fate, time.Now())
			return
		}
		if !f.Status.Expected() {
			d.elders.remove(f.ID)
			c := track.ConnectionOf(f)
			d.forget(c, endClosed)
			d.forget(c.Turned(), endClosed)
		}
	case conntrack.EventUnknown, conntrack.EventUpdate, conntrack.EventExpNew, conntrack.EventExpDestroy:
	}
}

// dataOpened enters a data connection that somebody opened.
func (d *Daemon) dataOpened(control path, flow journal.Flow) {
	s := d.sessions.find(control)
	if s == nil {
		return // the helper has not seen a packet of it since it started
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.told {
		return
	}
	d.count.opened.Add(1)
	awaited, gone := s.ledger().Opened(time.Now(), flow)
	if awaited {
		s.leavePlace()
	}
	d.flows.add(flow, s)
	if gone != nil {
		d.flows.take(*gone)
	}
}
