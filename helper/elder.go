package helper

import (
	"context"
	"sync"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

// elders are the control connections that existed before the helper read their VIP's packets, by conntrack's ids: what
// was said on them before is not known. While they are being listed, every connection may be one.
type elders struct {
	mu    sync.Mutex
	lists int // that are to be made
	ids   map[uint32]struct{}
	due   chan struct{} // has something where the next list may be made
}

// newElders waits for its first list.
func newElders() *elders {
	return &elders{lists: 1, ids: map[uint32]struct{}{}, due: make(chan struct{}, 1)}
}

// expect says that one more list has to be made; list, that it can be made now.
func (e *elders) expect() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
}

func (e *elders) list() {
	select {
	case e.due <- struct{}{}:
	default: // one list for both
	}
}

// expected is how many lists have to be made; one that begins now does for all of them.
func (e *elders) expected() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists
}

// complete says that the list for n was made.
func (e *elders) complete(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists -= n
}

func (e *elders) add(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids[id] = struct{}{}
}

// remove forgets a connection that has ended.
func (e *elders) remove(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ids, id)
}

// has tells whether a connection may have existed before.
func (e *elders) has(id uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.ids[id]
	return ok || e.lists > 0
}

// startOf is what is known of a connection whose session begins. Nobody here has read what conntrack has not seen, and
// a connection without a carrier began before the rules were there.
func (d *Daemon) startOf(e *track.Entry) ftp.Start {
	switch {
	case e.Opaque:
		return ftp.Encrypted
	case e.Midstream, !e.Carrier, d.elders.has(e.ID):
		return ftp.Midway
	}
	return ftp.Fresh
}

// recount is the pause before listing the elders again, where it failed.
const recount = time.Second

// meetElders makes the lists that are due, until ctx ends. It closes first once one was made, or could not be made.
func (d *Daemon) meetElders(ctx context.Context, first chan<- struct{}) {
	tried := sync.OnceFunc(func() { close(first) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.elders.due:
		}
		n := d.elders.expected()
		err := track.ListControls(ctx, d.meetElder)
		if err == nil {
			d.elders.complete(n)
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
			d.elders.list()
		}
	}
}

// meetElder notes a connection of a VIP that no session reads.
func (d *Daemon) meetElder(c track.Connection) {
	turned := c.Turned()
	v := d.view.Load()
	switch {
	case v.vips[c.VIP] != nil && d.sessions.find(path{c.VIP, c.Client}) == nil,
		v.vips[turned.VIP] != nil && d.sessions.find(path{turned.VIP, turned.Client}) == nil:
		d.elders.add(c.ID)
	}
}
