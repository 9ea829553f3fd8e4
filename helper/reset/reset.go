package reset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
	"ftpvip/helper/packet"
	"ftpvip/helper/track"
)

// Ended is what Reset ended.
type Ended struct {
	Control int `json:"control_connections"`
	Data    int `json:"data_connections"`
	Silent  int `json:"without_reset"` // of both: deleted, but conntrack had no place for the mark that makes resets
}

// pauses between the rounds of an ending: an answer to the first provocation is back, and so is one to the second.
// An end that has not heard of it by then gets its reset with what it sends next, from whoever has its address.
var pauses = []time.Duration{150 * time.Millisecond, 350 * time.Millisecond}

// kernel is the border to conntrack and to the network.
type kernel interface {
	dump() ([]conntrack.Flow, error)
	label(f *conntrack.Flow) (bool, error)
	forget(f *conntrack.Flow) error
	send(b []byte, to netip.Addr) error
}

// Sessions ends all sessions of some backends, with their data connections: both ends of each get a TCP reset at once,
// and conntrack forgets them. It needs our table in the kernel, and takes half a second; it does not need the helper.
// The caller has seen to it that no new sessions come, or Reset ends those of the first moment only.
func Sessions(ctx context.Context, cfg *configs.Config, refs []configs.Ref) (Ended, error) {
	k, err := openKernel(true)
	if err != nil {
		return Ended{}, err
	}
	defer k.close()
	return reset(ctx, k, newFinder(cfg, refs), pauses)
}

// ending is the connections that are being ended.
type ending struct {
	kernel kernel
	finder *finder
	marked map[uint32]bool // by conntrack's id: whether it has the mark
	ended  Ended
}

func reset(ctx context.Context, k kernel, f *finder, pauses []time.Duration) (Ended, error) {
	e := &ending{kernel: k, finder: f, marked: map[uint32]bool{}}
	for n, pause := range pauses {
		flows, err := e.find()
		if err != nil {
			return e.ended, err
		}
		if err := e.round(flows, n == 0); err != nil {
			return e.ended, err
		}
		if len(flows) == 0 {
			return e.ended, nil
		}
		select {
		case <-ctx.Done():
			return e.ended, fmt.Errorf("ending sessions: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
	flows, err := e.find()
	errs := []error{err}
	for _, f := range flows {
		errs = append(errs, k.forget(f))
	}
	return e.ended, errors.Join(errs...)
}

// find lists the connections that are to end; those that have ended by themselves are none.
func (e *ending) find() ([]*conntrack.Flow, error) {
	all, err := e.kernel.dump()
	if err != nil {
		return nil, err
	}
	e.finder.learn(all)
	var flows []*conntrack.Flow
	for i := range all {
		f := &all[i]
		what := e.finder.kind(f)
		if s := state(f); what == none || s == 0 || s == tcpTimeWait || (s == tcpClose && !e.marked[f.ID]) {
			continue
		}
		flows = append(flows, f)
		if _, known := e.marked[f.ID]; known {
			continue
		}
		if e.marked[f.ID], err = e.kernel.label(f); err != nil {
			return nil, err
		}
		e.ended.count(what, e.marked[f.ID])
	}
	return flows, nil
}

func (e *Ended) count(what kind, marked bool) {
	if what == control {
		e.Control++
	} else {
		e.Data++
	}
	if !marked {
		e.Silent++
	}
}

// round provokes both ends of each connection. SYNs go in the first round only: later, an end that has had its reset
// and listens would take one for a new connection.
func (e *ending) round(flows []*conntrack.Flow, first bool) error {
	for _, f := range flows {
		if !e.marked[f.ID] || state(f) == tcpClose {
			continue
		}
		for _, end := range []struct {
			from, to netip.AddrPort
			syn      packet.Flags
		}{
			{track.Destination(f.TupleOrig), track.Source(f.TupleOrig), packet.SYN | packet.ACK},
			{track.Destination(f.TupleReply), track.Source(f.TupleReply), packet.SYN},
		} {
			kinds := []packet.Flags{packet.ACK}
			if first {
				kinds = []packet.Flags{end.syn, packet.ACK}
			}
			for _, flags := range kinds {
				ack := rand.Uint32() // #nosec G404 -- any number does
				if !flags.Has(packet.ACK) {
					ack = 0
				}
				b, err := provocation(end.from, end.to, flags, rand.Uint32(), ack) // #nosec G404 -- any number does
				if err != nil {
					return err
				}
				// One that cannot be sent, as where the way to a dead host is closed, is as good as lost.
				_ = e.kernel.send(b, end.to.Addr())
			}
		}
	}
	return nil
}
