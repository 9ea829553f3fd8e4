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

// rewatch is the pause before subscribing to conntrack's events again.
const rewatch = time.Second

// listenToEvents receives conntrack's events until ctx ends. It closes ready when it has subscribed, or has failed to.
func (d *Daemon) listenToEvents(ctx context.Context, ready chan struct{}) {
	listening := sync.OnceFunc(func() { close(ready) })
	for ctx.Err() == nil {
		err := d.listen(ctx, listening)
		listening()
		if ctx.Err() != nil {
			return
		}
		d.eventsLost.Store(true)
		d.log.Warn("not receiving conntrack events; polling for ended sessions, "+
			"and openings of data connections are missed", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// listen receives events until an error occurs or ctx ends.
func (d *Daemon) listen(ctx context.Context, listening func()) error {
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
	d.eventsLost.Store(hostSetting("nf_conntrack_events") == "0")
	listening()
	for {
		messages, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("receiving conntrack's events: %w", err)
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				d.log.Warn("cannot decode a conntrack event", "err", err)
				continue
			}
			d.happened(&e)
		}
	}
}

// happened passes an event to its session.
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
			d.preexisting.remove(f.ID)
			c := track.ConnectionOf(f)
			d.forget(c, endClosed)
			d.forget(c.Turned(), endClosed)
		}
	case conntrack.EventUnknown, conntrack.EventUpdate, conntrack.EventExpNew, conntrack.EventExpDestroy:
	}
}

// dataOpened records a data connection that was opened.
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
		s.releaseQuota()
	}
	d.flows.add(flow, s)
	if gone != nil {
		d.flows.take(*gone)
	}
}
