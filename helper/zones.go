package helper

import (
	"context"
	"sync/atomic"
	"time"

	"ftpvip/helper/track"
)

// zonesEvery is how often conntrack is asked which zones the control connections are in, when some packet's cannot be found.
const zonesEvery = 3 * time.Second

// zoneSearch is the search for conntrack zones.
type zoneSearch struct {
	running atomic.Bool
	last    atomic.Int64 // moment
}

// lookForZones finds the zones that other rules put control connections into. It does not wait: TCP sends the packet again that could not be
// found.
func (d *Daemon) lookForZones(now time.Time) {
	z := &d.zones
	if last := z.last.Load(); last != 0 && int64(d.moment(now))-last < int64(zonesEvery) || !z.running.CompareAndSwap(false, true) {
		return
	}
	z.last.Store(int64(d.moment(now)))
	go func() {
		defer z.running.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), zonesEvery)
		defer cancel()
		v := d.view.Load()
		err := track.ListControls(ctx, func(c track.Connection) {
			if v.vips[c.VIP] != nil || v.vips[c.Turned().VIP] != nil {
				d.earlier.Zones.Add(c.Zone())
			}
		})
		if err != nil {
			d.log.Debug("cannot look for conntrack zones", "err", err)
		}
	}()
}
