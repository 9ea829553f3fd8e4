package health

import (
	"fmt"

	"ftpvip/configs"
	"ftpvip/health/judge"
	"ftpvip/health/probe"
)

// Settle judges the findings. next is the new state of the backends of cfg, report describes the findings, and events are the
// changes. Backends that were not looked at stay as they were. It is pure: the time is that of the look.
func Settle(cfg *configs.Config, prev File, found Found, o Options) (next File, report Report, events []judge.Event) {
	o = o.withDefaults()
	round := judge.Round{
		Began: stamp(found.begin), Ended: stamp(found.end), Admin: o.Admin, Results: make(map[configs.Ref][]judge.Result),
	}
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			round.Results[ref] = found.of(pool.Health.Check, o.Probes, ref)
		}
	}
	verdicts, events := judge.Settle(cfg, prev.Backends, round)
	next = File{Round: round.Began, Backends: make(map[configs.Ref]judge.State, len(verdicts))}
	for ref, v := range verdicts {
		next.Backends[ref] = v.State
	}
	report = Report{Time: next.Round, DurationMS: judge.Millis(found.end.Sub(found.begin)), Pools: []PoolReport{}}
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		pr := newPoolReport(pool)
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			br := newBackendReport(b.Name, verdicts[ref])
			if word := o.Admin[ref]; word != "" {
				br.Admin, br.Member = word, false
			}
			br.Addresses = found.last(ref).addresses()
			pr.Backends = append(pr.Backends, br)
		}
		pr.count(pool, served(pool))
		report.Pools = append(report.Pools, pr)
		report.warn(pr)
	}
	return next, report, events
}

// of returns the results of a backend, none where nobody looked.
func (f Found) of(check configs.Check, probes probe.Set, ref configs.Ref) (results []judge.Result) {
	switch {
	case check == configs.CheckNone:
		return []judge.Result{{}}
	case probes[check] == nil:
		return []judge.Result{judge.Fail(judge.StepLocal, fmt.Sprintf("this program has no check %s", check), nil)}
	}
	for _, l := range f.looks[ref] {
		results = append(results, l.result())
	}
	return results
}
