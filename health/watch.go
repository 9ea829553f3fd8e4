package health

import (
	"context"
	"math/rand/v2"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// gather is how long results are collected before they are judged, so that what fails together is one change.
const gather = 20 * time.Millisecond

// idle is how long a watch waits at most where nothing is due or found.
const idle = time.Second

// maxWaiting is how many results of a backend may wait until they are judged. Of more, the oldest are given up.
const maxWaiting = 32

// Watch looks at every backend at its interval, until ctx ends. Neither a backend that does not answer nor a slow Found delays
// others: what is found while Found runs waits for its next call.
type Watch struct {
	Options
	Config func() *configs.Config // asked before each look
	// Found gets what was found, and says what is known from then on, or that it could not judge: then the next call gets
	// the same again, and what was found since. Where nothing is found for a second, it gets that. It is called once at
	// a time, by a goroutine of its own.
	Found func(Found) (known File, judged bool)
}

// one is a look at one backend.
type one struct {
	ref  configs.Ref
	jobs []job
	look look // when it has ended
}

// Run watches. prev is what is known when it begins. It returns after the last call of Found has.
func (w Watch) Run(ctx context.Context, prev File) {
	o := w.withDefaults()
	var (
		sched    = judge.Schedule{Random: rand.Float64}
		busy     = make(map[configs.Ref]bool)
		ends     = make(chan one)
		settled  = make(chan func()) // Found has returned: what is to be done about that
		settling = false             // Found is at work
		waiting  Found
		fresh    = false // something was found since the last call of Found
		free     = make(chan struct{}, o.Sockets)
		known    = prev
		timer    = time.NewTimer(0)
		told     time.Time // when Found was last called
	)
	defer timer.Stop()
	finish := func(f one) {
		delete(busy, f.ref)
		waiting.add(f.ref, f.look)
		fresh = true
	}
	for ctx.Err() == nil {
		cfg := w.Config()
		due, soonest := sched.Due(cfg, o.Now(), busy)
		for ref, jobs := range makePlan(cfg, known, o.Probes, due).needs {
			busy[ref] = true
			go func() {
				f := one{ref: ref, jobs: jobs}
				f.run(ctx, o, free)
				ends <- f
			}()
		}
		for ref := range due { // also those with nothing to look at: check none
			sched.Done(ref, cfg.Pool(ref.Pool).Health, known.Backends[ref].Status, o.Now())
		}
		wait := idle
		if !soonest.IsZero() {
			wait = min(wait, soonest.Sub(o.Now()))
		}
		timer.Reset(wait)
		select {
		case f := <-ends:
			finish(f)
			for more := time.After(gather); more != nil; {
				select {
				case f := <-ends:
					finish(f)
				case <-more:
					more = nil
				}
			}
		case done := <-settled:
			done()
		case <-timer.C:
		case <-ctx.Done():
		}
		if now := o.Now(); ctx.Err() == nil && !settling && (fresh || now.Sub(told) >= idle) {
			found := waiting
			found.begin, found.end = now, now
			settling, fresh, told, waiting = true, false, now, Found{}
			go func() {
				next, judged := w.Found(found)
				settled <- func() {
					settling = false
					if judged {
						known = next
					} else {
						waiting.addBefore(found)
					}
				}
			}()
		}
	}
	for len(busy) > 0 || settling { // the probes end with ctx
		select {
		case f := <-ends:
			finish(f)
		case done := <-settled:
			done()
		}
	}
}

// run does the jobs of one backend, all at the same time, each with a socket that is free.
func (f *one) run(ctx context.Context, o Options, free chan struct{}) {
	type numbered struct {
		i int
		judge.Result
	}
	results := make(chan numbered)
	for i, j := range f.jobs {
		go func() {
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
			case <-ctx.Done():
			}
			results <- numbered{i, o.Probes[j.check](ctx, j.target)}
		}()
	}
	f.look = make(look, len(f.jobs))
	for range f.jobs {
		r := <-results
		f.look[r.i] = answer{f.jobs[r.i], r.Result}
	}
}

// add takes in a look at a backend.
func (f *Found) add(ref configs.Ref, looks ...look) {
	if f.looks == nil {
		f.looks = make(map[configs.Ref][]look)
	}
	f.looks[ref] = append(f.looks[ref], looks...)
	if n := len(f.looks[ref]); n > maxWaiting {
		f.looks[ref] = f.looks[ref][n-maxWaiting:]
	}
}

// addBefore takes in what was found before.
func (f *Found) addBefore(earlier Found) {
	for ref, looks := range earlier.looks {
		later := f.looks[ref]
		delete(f.looks, ref)
		f.add(ref, looks...)
		f.add(ref, later...)
	}
}
