package health

import (
	"fmt"
	"time"

	"ftpvip/configs"
)

// Settle judges what was found: next is prev brought up to date, report says what was found, and events are the changes
// that somebody may want to hear of. next holds the backends of cfg only. Backends that were not looked at stay as they
// were. It is pure: the time is that of the look.
func Settle(cfg *configs.Config, prev File, found Found, o Options) (next File, report Report, events []Event) {
	o = o.withDefaults()
	now := stamp(found.end)
	next = prev.For(cfg)
	next.Round = stamp(found.begin)
	report = Report{Time: next.Round, DurationMS: millis(found.end.Sub(found.begin)), Pools: []PoolReport{}}
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		changes := make([]Transition, len(pool.Backends))
		results := make([]Result, len(pool.Backends))
		for j, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			r, looked := found.of(pool.Health.Check, o.Probes, ref)
			st := next.Backends[ref]
			if looked {
				st, changes[j] = Judge(st, r, pool.Health, now)
			} else {
				r = st.Last.result()
			}
			next.Backends[ref], results[j] = st.admitted(o.Admin[ref] == "", next.Round), r
		}
		protect(pool, prev, next, o.Admin)
		pr := newPoolReport(pool)
		for j, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			br := newBackendReport(b.Name, next.Backends[ref], changes[j], results[j])
			if word := o.Admin[ref]; word != "" {
				br.Admin, br.Member = word, false
			}
			for _, job := range found.needs[ref] {
				br.Addresses = append(br.Addresses, AddressReport{Address: job.target.Addr, Outcome: outcome(found.results[job])})
			}
			pr.Backends = append(pr.Backends, br)
			if e, ok := newEvent(now, ref, prev.Backends[ref], next.Backends[ref], br); ok {
				events = append(events, e)
			}
		}
		pr.count(pool, served(cfg, pool))
		report.Pools = append(report.Pools, pr)
		report.warn(pr)
	}
	return next, report, events
}

// admitted notes whether an admin lets the backend serve.
func (s State) admitted(in bool, round time.Time) State {
	switch {
	case !in:
		s.Out, s.Readmitted = true, time.Time{}
	case s.Out:
		s.Out, s.Readmitted = false, round
	}
	return s
}

// of returns the result of a backend, and whether there is one.
func (f Found) of(check configs.Check, probes Probes, ref configs.Ref) (Result, bool) {
	jobs, looked := f.needs[ref]
	switch {
	case check == configs.CheckNone:
		return Result{}, true
	case probes[check] == nil:
		return fail(StepLocal, fmt.Sprintf("this program has no check %s", check), nil), true
	case !looked:
		return Result{}, false
	}
	return combine(jobs, f.results), true
}

// protect lets the backends that were members last stay so, where the pool wants that and nobody else is left.
func protect(pool *configs.Pool, prev, next File, out map[configs.Ref]string) {
	serves := false
	for _, b := range pool.Backends {
		ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
		serves = serves || next.Backends[ref].Status != Down && out[ref] == ""
	}
	for _, b := range pool.Backends {
		ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
		st := next.Backends[ref]
		st.Kept = pool.Health.OnAllDown == configs.AllDownKeepLast && !serves && st.Status == Down && out[ref] == "" &&
			prev.Backends[ref].Member()
		next.Backends[ref] = st
	}
}
