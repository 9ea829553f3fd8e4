package judge

import (
	"time"

	"ftpvip/configs"
)

// rampStep is by how many percent of its weight a backend in slow start advances at a time. Each step moves slots,
// and whoever lands on other slots than before may lose a place that he had.
const rampStep = 10

// Ramp returns the backends in slow start with the percentage of their weight that they have now: those that were down,
// or that an admin had taken out. out tells whom an admin has taken out now. It goes by the time of the last round, not
// by the clock: so whatever is made of a state file is the same until the next round.
func Ramp(cfg *configs.Config, states map[configs.Ref]State, round time.Time, out func(configs.Ref) bool) map[configs.Ref]int {
	ramp := make(map[configs.Ref]int)
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		if pool.SlowStart <= 0 {
			continue
		}
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			if percent := states[ref].percent(round, pool.SlowStart, out(ref)); percent < 100 {
				ramp[ref] = percent
			}
		}
	}
	return ramp
}

// percent is how much of its weight a backend had at a round; out reports whether an admin has taken it out now.
func (s State) percent(round time.Time, slowStart time.Duration, out bool) int {
	percent := 100
	if s.Returned {
		percent = rampPercent(round.Sub(s.Since), slowStart)
	}
	if !s.Readmitted.IsZero() {
		percent = min(percent, rampPercent(round.Sub(s.Readmitted), slowStart))
	}
	if s.Out && !out { // taken back since
		percent = min(percent, rampStep)
	}
	return percent
}

// rampPercent is how much of its weight a backend has that came back so long ago: a step at once, all at the end.
func rampPercent(ago, slowStart time.Duration) int {
	if ago >= slowStart {
		return 100
	}
	done := int(max(ago, 0) * 100 / slowStart)
	return max(done/rampStep*rampStep, rampStep)
}
