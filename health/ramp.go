package health

import (
	"time"

	"ftpvip/configs"
)

// rampStep is by how many percent of its weight a backend in slow start advances at a time. Each step moves slots,
// and whoever lands on other slots than before may lose a place that he had.
const rampStep = 10

// Ramp returns the backends in slow start with the percentage of their weight that they have now. It goes by the time
// of the last round, not by the clock: so whatever is made of a state file is the same until the next round.
func (f File) Ramp(cfg *configs.Config) map[configs.Ref]int {
	ramp := make(map[configs.Ref]int)
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		if pool.SlowStart <= 0 {
			continue
		}
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			if st := f.Backends[ref]; st.Returned {
				if percent := rampPercent(f.Round.Sub(st.Since), pool.SlowStart); percent < 100 {
					ramp[ref] = percent
				}
			}
		}
	}
	return ramp
}

// rampPercent is how much of its weight a backend has that came back so long ago: a step at once, all at the end.
func rampPercent(ago, slowStart time.Duration) int {
	if ago >= slowStart {
		return 100
	}
	done := int(max(ago, 0) * 100 / slowStart)
	return max(done/rampStep*rampStep, rampStep)
}
