package health

import (
	"time"

	"ftpvip/configs"
)

// Expected is how old the last round may be before something is wrong. One round may be missed, and the timer may not match the
// intervals of cfg. 0 if cfg has no checks.
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
