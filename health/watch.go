package health

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"ftpvip/configs"
)

// gather is how long results are collected before they are judged, so that what fails together is one change.
const gather = 20 * time.Millisecond

// idle is how long a watch waits at most where nothing is due or found.
const idle = time.Second

// Watch looks at every backend at its interval, until ctx ends. A backend that does not answer holds up nobody else.
type Watch struct {
	Options
	Config func() *configs.Config // asked before each look
	// Found gets what was found, and says what is known from then on. Where nothing is found for a second, it gets that.
	Found func(Found) File
}

// one is what was found of backends that were looked at together.
type one struct {
	refs  []configs.Ref
	found Found
}

// Run watches. prev is what is known when it begins.
func (w Watch) Run(ctx context.Context, prev File) {
	o := w.withDefaults()
	var (
		sched = Schedule{Random: rand.Float64}
		busy  = make(map[configs.Ref]bool)
		ends  = make(chan one)
		free  = make(chan struct{}, o.Sockets)
		known = prev
		timer = time.NewTimer(0)
		told  time.Time // when Found was last called
	)
	defer timer.Stop()
	running := 0
	finish := func(f one) Found {
		running--
		for _, ref := range f.refs {
			delete(busy, ref)
		}
		return f.found
	}
	for ctx.Err() == nil {
		cfg := w.Config()
		due, soonest := sched.Due(cfg, o.Now(), busy)
		for _, f := range split(makePlan(cfg, known, o.Probes, due)) {
			running++
			for _, ref := range f.refs {
				busy[ref] = true
				sched.Done(ref, cfg.Pool(ref.Pool).Health, known.Backends[ref].Status, o.Now())
			}
			go func() {
				f.look(ctx, o, free)
				ends <- f
			}()
		}
		for ref := range due { // those with nothing to look at: check none
			if !busy[ref] {
				sched.Done(ref, cfg.Pool(ref.Pool).Health, known.Backends[ref].Status, o.Now())
			}
		}
		wait := idle
		if !soonest.IsZero() {
			wait = min(wait, soonest.Sub(o.Now()))
		}
		timer.Reset(wait)
		var found Found
		select {
		case f := <-ends:
			found = finish(f)
			for more := time.After(gather); more != nil; {
				select {
				case f := <-ends:
					found.add(finish(f))
				case <-more:
					more = nil
				}
			}
		case <-timer.C:
		case <-ctx.Done():
		}
		if now := o.Now(); ctx.Err() == nil && (len(found.needs) > 0 || now.Sub(told) >= idle) {
			found.begin, found.end, told = now, now, now
			known = w.Found(found)
		}
	}
	for running > 0 { // the probes end with ctx
		finish(<-ends)
	}
}

// split makes a look for each backend of a plan.
func split(p plan) []one {
	var list []one
	for ref, jobs := range p.needs {
		list = append(list, one{refs: []configs.Ref{ref}, found: Found{needs: map[configs.Ref][]job{ref: jobs}}})
	}
	return list
}

// look does the jobs of one backend, all at the same time, each with a socket that is free.
func (f *one) look(ctx context.Context, o Options, free chan struct{}) {
	type answer struct {
		job
		Result
	}
	answers := make(chan answer)
	n := 0
	for _, jobs := range f.found.needs {
		n += len(jobs)
		for _, j := range jobs {
			go func() {
				select {
				case free <- struct{}{}:
					defer func() { <-free }()
				case <-ctx.Done():
				}
				answers <- answer{j, o.Probes[j.check](ctx, j.target)}
			}()
		}
	}
	f.found.results = make(map[job]Result, n)
	for range n {
		a := <-answers
		f.found.results[a.job] = a.Result
	}
}

// add takes in what was found of other backends.
func (f *Found) add(g Found) {
	maps.Copy(f.needs, g.needs)
	maps.Copy(f.results, g.results)
}
