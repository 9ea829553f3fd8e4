package health

import (
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// Found is what the probes of a round found.
type Found struct {
	begin, end time.Time
	looks      map[configs.Ref][]look // at each backend that was looked at, oldest first
}

// look is what one look at a backend found: the results of its addresses, IPv4 first.
type look []answer

// answer is the result of a job.
type answer struct {
	job
	judge.Result
}

// result is that of all addresses together.
func (l look) result() judge.Result {
	parts := make([]judge.Part, len(l))
	for i, a := range l {
		parts[i] = judge.Part{Target: a.target.String(), Result: a.Result}
	}
	return judge.Combine(parts)
}

// addresses is what was found at each.
func (l look) addresses() (list []AddressReport) {
	for _, a := range l {
		list = append(list, AddressReport{Address: a.target.Addr, Outcome: judge.NewOutcome(a.Result)})
	}
	return list
}

// last is the latest look at a backend; empty where there was none.
func (f Found) last(ref configs.Ref) look {
	looks := f.looks[ref]
	if len(looks) == 0 {
		return nil
	}
	return looks[len(looks)-1]
}

// lookOf gathers the results of a backend's jobs.
func lookOf(jobs []job, results map[job]judge.Result) look {
	l := make(look, len(jobs))
	for i, j := range jobs {
		l[i] = answer{j, results[j]}
	}
	return l
}
