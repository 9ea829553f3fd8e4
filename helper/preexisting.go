package helper

import (
	"context"
	"sync"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

// preexisting are the control connections that existed before the helper read the packets of their VIP, by conntrack's id.
// What was said on them before is unknown. Until they are listed, every connection may be one of them.
type preexisting struct {
	mu    sync.Mutex
	lists int // that must still be made
	ids   map[uint32]struct{}
	due   chan struct{} // has an element if the next list may be made
}

// newPreexisting needs its first list.
func newPreexisting() *preexisting {
	return &preexisting{lists: 1, ids: map[uint32]struct{}{}, due: make(chan struct{}, 1)}
}

// expect requests another list; list allows making it now.
func (e *preexisting) expect() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
}

func (e *preexisting) list() {
	select {
	case e.due <- struct{}{}:
	default: // one list for both
	}
}

// expected is how many lists are requested; one that begins now serves all of them.
func (e *preexisting) expected() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists
}

// complete reports that a list for n requests was made.
func (e *preexisting) complete(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists -= n
}

func (e *preexisting) add(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids[id] = struct{}{}
}

// remove forgets a connection that has ended.
func (e *preexisting) remove(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ids, id)
}

// has reports whether a connection may have existed before.
func (e *preexisting) has(id uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.ids[id]
	return ok || e.lists > 0
}

// startOf says how much of a new session's connection was read. What conntrack has not seen was not read, and a connection
// without a carrier began before the rules existed.
func (d *Daemon) startOf(e *track.Entry) ftp.Start {
	switch {
	case e.Opaque:
		return ftp.Encrypted
	case e.Midstream, !e.Carrier, d.preexisting.has(e.ID):
		return ftp.Midway
	}
	return ftp.Fresh
}

// recount is the pause before a list that failed is made again.
const recount = time.Second

// listPreexisting makes the requested lists until ctx ends. It closes first after the first attempt.
func (d *Daemon) listPreexisting(ctx context.Context, first chan<- struct{}) {
	tried := sync.OnceFunc(func() { close(first) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.preexisting.due:
		}
		n := d.preexisting.expected()
		err := track.ListControls(ctx, d.notePreexisting)
		if err == nil {
			d.preexisting.complete(n)
			tried()
			continue
		}
		tried()
		if ctx.Err() != nil {
			return
		}
		d.log.Warn("cannot list the control connections that exist already; until that is done every new session counts as "+
			"picked up in the middle", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(recount):
			d.preexisting.list()
		}
	}
}

// notePreexisting notes a connection of a VIP that has no session.
func (d *Daemon) notePreexisting(c track.Connection) {
	turned := c.Turned()
	v := d.view.Load()
	if v.vips[c.VIP] != nil || v.vips[turned.VIP] != nil {
		d.earlier.Zones.Add(c.Zone())
	}
	switch {
	case v.vips[c.VIP] != nil && d.sessions.find(path{c.VIP, c.Client}) == nil,
		v.vips[turned.VIP] != nil && d.sessions.find(path{turned.VIP, turned.Client}) == nil:
		d.preexisting.add(c.ID)
	}
}
