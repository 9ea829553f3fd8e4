package judge

import (
	"time"

	"ftpvip/configs"
)

// Round is what is judged together. All backends of a pool are, so that one knows whether others are left.
type Round struct {
	Began, Ended time.Time
	Results      map[configs.Ref][]Result // of the backends that were looked at, oldest first
	Admin        map[configs.Ref]string   // the backends that an admin has taken out, with the word for it
}

// Verdict is what a round made of one backend.
type Verdict struct {
	State  State
	Change Transition
	Last   Result // the latest; the one before the round, where nobody looked
	cause  Result // of the change
}

// Settle judges a round: prev is what is known of cfg's backends before. Events come in cfg's order.
func Settle(cfg *configs.Config, prev map[configs.Ref]State, r Round) (verdicts map[configs.Ref]Verdict, events []Event) {
	verdicts = make(map[configs.Ref]Verdict)
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		for _, ref := range refs(pool) {
			v := r.judge(pool, ref, prev[ref])
			v.State = v.State.admitted(r.Admin[ref] == "", r.Began)
			verdicts[ref] = v
		}
		protect(pool, prev, verdicts, r.Admin)
		for _, ref := range refs(pool) {
			if e, ok := newEvent(r.Ended, ref, prev[ref], verdicts[ref], r.Admin[ref]); ok {
				events = append(events, e)
			}
		}
	}
	return verdicts, events
}

// judge plays the results of one backend.
func (r Round) judge(pool *configs.Pool, ref configs.Ref, prev State) Verdict {
	if prev.Stale(pool.Health.Check) {
		prev = State{}
	}
	v := Verdict{State: prev, Last: prev.Last.result()}
	v.cause = v.Last
	for _, result := range r.Results[ref] {
		var change Transition
		v.State, change = Judge(v.State, result, pool.Health, r.Ended)
		v.Last = result
		if change.Changed() || !v.Change.Changed() {
			v.cause = result
		}
		v.Change = Transition{From: prev.Status, To: v.State.Status}
	}
	if !v.Change.Changed() {
		v.Change = Transition{}
	}
	return v
}

// Stale reports whether a state is obsolete: with check none, a backend that is down would never be looked at again.
func (s State) Stale(check configs.Check) bool { return check == configs.CheckNone && !s.Member() }

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

// protect keeps the last members of a pool, if the pool wants that (keep-last) and no other member is left.
func protect(pool *configs.Pool, prev map[configs.Ref]State, verdicts map[configs.Ref]Verdict, out map[configs.Ref]string) {
	serves := false
	for _, ref := range refs(pool) {
		serves = serves || verdicts[ref].State.Status != Down && out[ref] == ""
	}
	for _, ref := range refs(pool) {
		v := verdicts[ref]
		v.State.Kept = pool.Health.OnAllDown == configs.AllDownKeepLast && !serves && v.State.Status == Down && out[ref] == "" &&
			prev[ref].Member()
		verdicts[ref] = v
	}
}

// refs lists the backends of a pool.
func refs(pool *configs.Pool) []configs.Ref {
	list := make([]configs.Ref, len(pool.Backends))
	for i, b := range pool.Backends {
		list[i] = configs.Ref{Pool: pool.Name, Backend: b.Name}
	}
	return list
}
