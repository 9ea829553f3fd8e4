package operate

import (
	"context"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/helper/live"
	"ftpvip/rules/doctor"
)

// How often rounds examine the host, and how often they say again what is still wrong.
const (
	examineEvery = 20 * time.Second
	repeatEvery  = 10 * time.Minute
)

// told lists what others say already: findings that rounds and statuses report in their own words.
var told = map[string]bool{
	"table-missing": true, "table-differs": true, "helper-config": true, "config-broken": true, "state-unwritable": true,
	"helper-down": true, "helper-deaf": true, "no-net-admin": true,
}

// watchHost has doctor look at the host now and then, as a round goes by: what it finds is news for the log and for metrics, and nobody
// may be asking. It returns what the last look found.
func (o *Operator) watchHost(ctx context.Context, cfg *configs.Config) []health.Trouble {
	now := o.Clock.Now()
	seen, err := health.LoadTroubles(o.StateDir)
	if err != nil {
		o.Log.Debug("what was found on this host before is not known", "err", err)
	}
	if age := now.Sub(seen.At); age >= 0 && age < examineEvery {
		return seen.List
	}
	facts := &doctor.Facts{Config: cfg, Command: "ftpvip"}
	if r, err := o.record(); err == nil && r.Current != nil { // what is in force, not a file that was edited since
		facts.AppliedID = r.Current.ID()
		if applied, err := r.Current.Config(); err == nil {
			facts.Config = applied
		}
	}
	o.Seen = o.Host.Look()
	figures, err := live.AskFigures(ctx, o.socket())
	found, err := o.examine(ctx, facts, figures, err)
	if err != nil {
		if ctx.Err() == nil {
			o.Log.Warn("cannot look for what stands in the way of FTP on this host", "err", err)
		}
		return seen.List
	}
	next := health.Troubles{At: now}
	for _, f := range found {
		if f.Severity != doctor.Error || f.ID == "no-net-admin" {
			continue
		}
		t := health.Trouble{ID: f.ID, What: f.What, Told: seen.Told(f.ID)}
		if now.Sub(t.Told) >= repeatEvery || now.Before(t.Told) {
			t.Told = now
			o.Log.Warn("FTP does not work here: "+f.What, "id", f.ID, "fix", strings.Join(f.Remedy, "; "))
		}
		next.List = append(next.List, t)
	}
	for _, t := range seen.List {
		if next.Told(t.ID).IsZero() {
			o.Log.Warn("no longer: "+t.What, "id", t.ID)
		}
	}
	if err := next.Save(o.StateDir); err != nil {
		o.Log.Debug("what was found on this host is not kept", "err", err)
	}
	return next.List
}
