package helper

import (
	"sync/atomic"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/live"
	"ftpvip/helper/observe"
)

// outcome is the result of creating an expectation.
type outcome uint8

const (
	outCreated outcome = iota
	outBusy
	outQuota
	outFull
	outNoCarrier
	outNoConnection
	outFailed

	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"created", "port_busy", "quota", "table_full", "no_carrier", "no_connection", "failed",
}

// unread is why a packet was not read by a session.
type unread uint8

const (
	unreadMalformed    unread = iota
	unreadNoConnection        // it was let go with a spoilt checksum: TCP sends it again
	unreadNoVIP
	unreadLookup  // it was dropped: TCP sends it again
	unreadUnknown // it was dropped: its connection stays unknown
	unreadStray   // it was dropped: a server's connection that leads to no VIP any more, and is ended
	unreadSYN     // dropped: data in a SYN
	unreadNoACK   // dropped: no receiver takes it
	unreadChecksum

	numUnread
)

var unreadNames = [numUnread]string{
	"malformed", "no_connection", "no_vip", "lookup", "unknown", "stray", "data_in_syn", "no_ack", "checksum",
}

// counters count what happens, from the start on.
type counters struct {
	sessions     atomic.Uint64
	concluded    atomic.Uint64
	commands     [ftp.NumVerbs]atomic.Uint64
	rewrites     [ftp.NumCommands]atomic.Uint64
	refusals     [ftp.NumReasons]atomic.Uint64
	events       [ftp.NumKinds]atomic.Uint64
	expectations [numOutcomes]atomic.Uint64
	unread       [numUnread]atomic.Uint64
	throttled    atomic.Uint64
	opened       atomic.Uint64
	failed       [journal.NumCauses]atomic.Uint64
	transfers    [journal.NumModes][journal.NumDirections]transferCounters
}

type transferCounters struct{ count, uncounted, bytes atomic.Uint64 }

// done counts a data connection that is accounted for.
func (c *counters) done(d journal.Done) {
	if d.Failure != nil {
		c.failed[d.Failure.Cause].Add(1)
		return
	}
	t := &c.transfers[d.Mode][d.Direction]
	t.count.Add(1)
	t.bytes.Add(d.Bytes)
	if !d.Counted {
		t.uncounted.Add(1)
	}
}

// latencyBounds are the upper bounds of the histogram's buckets.
var latencyBounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second,
}

// latency is a histogram of one queue.
type latency struct {
	counts [len(latencyBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func (l *latency) observe(d time.Duration) {
	i := 0
	for i < len(latencyBounds) && d > latencyBounds[i] {
		i++
	}
	l.counts[i].Add(1)
	l.sum.Add(int64(d))
}

// Figures implements live.Source.
func (d *Daemon) Figures() live.Figures {
	c := &d.count
	concluded := c.concluded.Load() // first, for no session ends before it begins
	f := live.Figures{
		Version: d.opts.Version, PID: d.pid, Started: d.started,
		SessionsTotal: c.sessions.Load(), SessionsCurrent: c.sessions.Load() - concluded,
		Commands: map[string]uint64{}, Rewrites: map[string]uint64{}, Expectations: map[string]uint64{},
		Refusals: map[string]uint64{}, Events: map[string]uint64{}, Unread: map[string]uint64{},
		Data:    map[string]uint64{"opened": c.opened.Load()},
		Awaited: uint64(d.quota.taken()), Transfers: c.transferFigures(), Queues: d.queueFigures(), Latency: d.latencyFigures(),
		Conntrack: conntrackFigures(), Throttled: c.throttled.Load(),
	}
	for i := range c.commands {
		if n := c.commands[i].Load(); n > 0 {
			f.Commands[ftp.Verb(i).String()] = n
		}
	}
	for _, cmd := range []ftp.Command{ftp.CmdPASV, ftp.CmdEPSV, ftp.CmdPORT, ftp.CmdEPRT} {
		f.Rewrites[cmd.String()] = c.rewrites[cmd].Load()
	}
	for i := range c.expectations {
		f.Expectations[outcomeNames[i]] = c.expectations[i].Load()
	}
	for r := ftp.ReasonNone + 1; r < ftp.NumReasons; r++ {
		f.Refusals[r.String()] = c.refusals[r].Load()
	}
	for k := range ftp.NumKinds {
		if k != ftp.EventCommand && k != ftp.EventGoodbye && k != ftp.EventGivesUp { // no incidents; commands are counted above
			f.Events[k.String()] = c.events[k].Load()
		}
	}
	for i := range c.unread {
		f.Unread[unreadNames[i]] = c.unread[i].Load()
	}
	for _, cause := range []journal.Cause{journal.NeverCame, journal.NoAnswer, journal.PeerReset, journal.NoFit} {
		f.Data[cause.String()] = c.failed[cause].Load()
	}
	for _, w := range d.workers {
		f.Packets += w.handled.Load()
	}
	return f
}

func (c *counters) transferFigures() []live.Transfer {
	list := []live.Transfer{}
	for m := range journal.NumModes {
		for dir := range journal.NumDirections {
			t := &c.transfers[m][dir]
			if n := t.count.Load(); n > 0 {
				list = append(list, live.Transfer{
					Mode: m.String(), Direction: dir.String(), Count: n, Uncounted: t.uncounted.Load(), Bytes: t.bytes.Load(),
				})
			}
		}
	}
	return list
}

// queueFigures asks the kernel; where it does not say, there are none.
func (d *Daemon) queueFigures() []live.Queue {
	list := []live.Queue{}
	queues, err := observe.Queues()
	if err != nil {
		d.log.Warn("cannot read the state of the queues", "err", err)
	}
	for _, w := range d.workers {
		if q, ok := queues[w.number]; ok {
			list = append(list, live.Queue{
				Number: q.Number, Waiting: q.Waiting, Dropped: q.Dropped, UserDropped: q.UserDropped, Packets: q.Packets,
				Gone: w.gone.Load(),
			})
		}
	}
	return list
}

func (d *Daemon) latencyFigures() live.Histogram {
	h := live.Histogram{Counts: make([]uint64, len(latencyBounds)+1)}
	for _, b := range latencyBounds {
		h.Bounds = append(h.Bounds, b.Seconds())
	}
	for _, w := range d.workers {
		for i := range w.latency.counts {
			h.Counts[i] += w.latency.counts[i].Load()
		}
		h.Sum += time.Duration(w.latency.sum.Load()).Seconds()
	}
	return h
}
