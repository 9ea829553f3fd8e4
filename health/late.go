package health

import (
	"time"

	"ftpvip/configs"
)

// Expected is how old the last round may be before something is wrong: a round may be missed, also by a timer that does
// not keep to the intervals of cfg, and take its time. 0 where cfg has no checks.
func Expected(cfg *configs.Config) time.Duration {
	var most time.Duration
	for i := range cfg.Pools {
		if h := cfg.Pools[i].Health; h.Check != configs.CheckNone {
			most = max(most, 3*max(h.Interval, h.IntervalDown)+h.Timeout)
		}
	}
	if most == 0 {
		return 0
	}
	return most + NotifyTime
}
