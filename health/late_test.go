package health

import (
	"testing"
	"time"

	"ftpvip/configs"
)

func TestExpected(t *testing.T) {
	slow, none := pool("slow", configs.CheckTCP), pool("none", configs.CheckNone)
	slow.Health.Interval, slow.Health.IntervalDown = 5*time.Second, time.Minute
	none.Health.Interval = time.Hour
	for _, tt := range []struct {
		pools []configs.Pool
		want  time.Duration
	}{{nil, 0}, {[]configs.Pool{none}, 0}, {[]configs.Pool{none, slow}, 188 * time.Second}} {
		if got := Expected(&configs.Config{Pools: tt.pools}); got != tt.want {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
}
