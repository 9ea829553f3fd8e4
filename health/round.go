package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
	"ftpvip/health/probe"
)

// DefaultSockets is how many probes run at the same time. A dead address holds its socket for its whole timeout, so
// the number has to exceed that of the addresses that may be dead at once, or their time would add up.
const DefaultSockets = 2048

// slack is how much longer than the longest timeout a round may take.
const slack = 750 * time.Millisecond

// Options are the parts of a round that can be replaced. The zero value is the real thing.
type Options struct {
	Probes  probe.Set        // nil: probe.Builtin
	Sockets int              // probes at the same time; 0: DefaultSockets
	Now     func() time.Time // nil: time.Now

	// Admin has the backends that an admin took out, with the word for it. They are checked and judged like others, so
	// that they come back as what they are; but they count for nothing while they are out.
	Admin map[configs.Ref]string
}

// Look probes every backend of cfg once, all at the same time.
//
// State is kept for each backend, not for each address: a backend of two families is probed in both and fails if one
// of them fails. Only the families that a VIP of the pool serves count; where no VIP uses the pool, all do. An
// address that backends of several pools share is probed once for each different check and timeout.
//
// It lasts no longer than the longest timeout and a second. Where there are more addresses than
// sockets and too many of them are dead, some get no socket in time; these stay as they were, the report warns, and
// they come first in the next round.
//
// The error is ctx's, when it ends before the round: an interrupted probe proves nothing.
func Look(ctx context.Context, cfg *configs.Config, prev File, o Options) (Found, error) {
	o = o.withDefaults()
	found := Found{begin: o.Now()}
	p := makePlan(cfg, prev, o.Probes, nil)
	results := run(ctx, p, o)
	found.looks = make(map[configs.Ref][]look, len(p.needs))
	for ref, jobs := range p.needs {
		found.looks[ref] = []look{lookOf(jobs, results)}
	}
	if err := ctx.Err(); err != nil {
		return Found{}, fmt.Errorf("checking the backends: %w", err)
	}
	found.end = o.Now()
	return found, nil
}

// run does the jobs of p, at most o.Sockets at a time, and returns when all have ended.
func run(ctx context.Context, p plan, o Options) map[job]judge.Result {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		results = make(map[job]judge.Result, len(p.jobs))
		queue   = make(chan job, len(p.jobs))
		start   = time.Now()
		limit   = p.longest() + slack
	)
	for _, j := range p.jobs {
		queue <- j
	}
	close(queue)
	for range min(o.Sockets, len(p.jobs)) {
		wg.Go(func() {
			for j := range queue {
				r := judge.Fail(judge.StepLocal, fmt.Sprintf("no socket was free in time: %d addresses, %d sockets, too many of them dead",
					len(p.jobs), o.Sockets), nil)
				if ctx.Err() == nil && time.Since(start)+j.target.Timeout <= limit {
					r = o.Probes[j.check](ctx, j.target)
				}
				mu.Lock()
				results[j] = r
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return results
}

func (o Options) withDefaults() Options {
	if o.Probes == nil {
		o.Probes = probe.Builtin()
	}
	if o.Sockets <= 0 {
		o.Sockets = DefaultSockets
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// stamp returns t in the form in which times are kept: UTC, without fractions of a millisecond.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
