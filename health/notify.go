package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ftpvip/configs"
	"ftpvip/health/command"
	"ftpvip/health/judge"
	"ftpvip/health/probe"
)

// Notify's limits.
const (
	NotifyTime     = 5 * time.Second // for all commands of a round together
	notifyParallel = 16
)

// Notify runs the pools' notify commands, one for each change of status of a backend that is not drained or disabled, several at
// a time. All end NotifyTime after the call at the latest. It returns one note for each event, "" if nothing was to do.
func Notify(ctx context.Context, cfg *configs.Config, events []judge.Event) []string {
	ctx, cancel := context.WithTimeout(ctx, NotifyTime)
	defer cancel()
	notes := make([]string, len(events))
	var wg sync.WaitGroup
	free := make(chan struct{}, notifyParallel)
	for i, e := range events {
		pool := cfg.Pool(e.Pool)
		if pool == nil || len(pool.Health.Notify) == 0 || !e.Changed() || e.Admin != "" {
			continue
		}
		wg.Go(func() {
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
			case <-ctx.Done():
			}
			notes[i] = notify(ctx, pool.Health.Notify, e)
		})
	}
	wg.Wait()
	return notes
}

func notify(ctx context.Context, argv []string, e judge.Event) string {
	if ctx.Err() != nil {
		return fmt.Sprintf("NOT notified: no time was left for %s", argv[0])
	}
	line, err := command.Run(ctx, argv, []string{
		"FTPVIP_POOL=" + e.Pool,
		"FTPVIP_BACKEND=" + e.Backend,
		"FTPVIP_FROM=" + e.From.String(),
		"FTPVIP_TO=" + e.To.String(),
		"FTPVIP_STEP=" + string(e.Step),
		"FTPVIP_REASON=" + e.Reason,
		"FTPVIP_TIME=" + e.Time.Format(time.RFC3339),
	})
	switch {
	case err == nil:
		return "notified by " + argv[0]
	case ctx.Err() != nil:
		return fmt.Sprintf("NOT notified: %s did not end within %v and was killed", argv[0], NotifyTime)
	case line == "":
		return fmt.Sprintf("NOT notified: %s: %v", argv[0], err)
	}
	return fmt.Sprintf("NOT notified: %s: %v: %s", argv[0], err, probe.Quote(line))
}
