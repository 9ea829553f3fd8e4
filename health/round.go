package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ftpvip/configs"
)

// DefaultSockets is how many probes run at the same time. A dead address holds its socket for its whole timeout, so
// the number has to exceed that of the addresses that may be dead at once, or their time would add up.
const DefaultSockets = 2048

// slack is how much longer than the longest timeout a round may take.
const slack = 750 * time.Millisecond

// Options are the parts of a round that can be replaced. The zero value is the real thing.
type Options struct {
	Probes  Probes           // nil: DefaultProbes
	Sockets int              // probes at the same time; 0: DefaultSockets
	Now     func() time.Time // nil: time.Now
}

// Round probes every backend of cfg once, all at the same time, and judges what it finds: next is prev brought up
// to date, and report says what was found. next holds the backends of cfg only.
//
// State is kept for each backend, not for each address: a backend of two families is probed in both and fails if one
// of them fails. Only the families that a VIP of the pool serves count; where no VIP uses the pool, all do. An
// address that backends of several pools share is probed once for each different check and timeout.
//
// A round lasts no longer than the longest timeout and a second. Where there are more addresses than
// sockets and too many of them are dead, some get no socket in time; these stay as they were, the report warns, and
// they come first in the next round.
//
// The error is ctx's, when it ends before the round: then next is prev, as an interrupted probe proves nothing.
func Round(ctx context.Context, cfg *configs.Config, prev File, o Options) (next File, report Report, err error) {
	o = o.withDefaults()
	begin := o.Now()
	p := makePlan(cfg, prev, o.Probes)
	results := run(ctx, p, o)
	if err := ctx.Err(); err != nil {
		return prev, Report{}, fmt.Errorf("checking the backends: %w", err)
	}
	end := o.Now()

	next = prev.For(cfg)
	next.Round = stamp(begin)
	report = Report{Time: stamp(begin), DurationMS: millis(end.Sub(begin)), Pools: []PoolReport{}}
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		pr := newPoolReport(pool)
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			jobs := p.needs[ref]
			r := look(pool.Health.Check, o.Probes, jobs, results)
			st, change := Judge(next.Backends[ref], r, pool.Health.Rise, pool.Health.Fall, stamp(end))
			next.Backends[ref] = st
			br := newBackendReport(b.Name, st, change, r)
			for _, j := range jobs {
				br.Addresses = append(br.Addresses, AddressReport{Address: j.target.Addr, Outcome: outcome(results[j])})
			}
			pr.Backends = append(pr.Backends, br)
		}
		pr.count(pool, served(cfg, pool))
		report.Pools = append(report.Pools, pr)
		report.warn(pr)
	}
	return next, report, nil
}

// look returns the result of a backend with these jobs.
func look(check configs.Check, probes Probes, jobs []job, results map[job]Result) Result {
	switch {
	case check == configs.CheckNone:
		return Result{}
	case probes[check] == nil:
		return fail(StepLocal, fmt.Sprintf("this program has no check %s", check), nil)
	default:
		return combine(jobs, results)
	}
}

// run does the jobs of p, at most o.Sockets at a time, and returns when all have ended.
func run(ctx context.Context, p plan, o Options) map[job]Result {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		results = make(map[job]Result, len(p.jobs))
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
				r := fail(StepLocal, fmt.Sprintf("no socket was free in time: %d addresses, %d sockets, too many of them dead",
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
		o.Probes = DefaultProbes()
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
