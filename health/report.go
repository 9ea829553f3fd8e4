package health

import (
	"fmt"
	"net/netip"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// Report is what a round found. Its JSON is the output of `ftpvip health -o json`. Times are UTC.
type Report struct {
	Time       time.Time    `json:"time"`        // when the round began
	DurationMS float64      `json:"duration_ms"` // milliseconds
	Pools      []PoolReport `json:"pools"`       // in the order of the configuration
	Warnings   []string     `json:"warnings,omitempty"`
	Table      *TableReport `json:"table,omitempty"` // nil: the round did not look

	Troubles []Trouble `json:"troubles,omitempty"` // that doctor found on this host

	ConfigError string `json:"config_error,omitempty"` // why the file cannot be used, and the round follows what was applied
}

// Broken notes why the configuration file cannot be used; nil: it can.
func (r *Report) Broken(err error) {
	if err != nil {
		r.ConfigError = err.Error()
	}
}

// TableReport is what a round found of our table in the kernel.
type TableReport struct {
	State    TableState `json:"state"` // before the round
	Restored bool       `json:"restored,omitzero"`
	Changes  []string   `json:"changes,omitempty"` // what was wrong, a line for each thing
}

// TableState is whether our table is as it was applied.
type TableState string

// The states.
const (
	TableWhole   TableState = "whole"
	TableMissing TableState = "missing"
	TableDiffers TableState = "differs"
	TableNone    TableState = "none" // nothing was applied, so there is none
)

// Whole reports whether the table is as it was applied, after the round.
func (t *TableReport) Whole() bool {
	return t == nil || t.State == TableWhole || t.State == TableNone || t.Restored
}

// PoolReport is one pool of a Report.
type PoolReport struct {
	Name       string          `json:"name"`
	Check      configs.Check   `json:"check"`
	TimeoutMS  float64         `json:"timeout_ms"`                    // milliseconds
	Rise       int             `json:"rise"`                          // successes in a row that are needed
	Fall       int             `json:"fall"`                          // failures in a row that are needed
	MinMembers int             `json:"min_members,omitzero"`          // fewer, and other tiers or the fallback help
	Members    int             `json:"members"`                       // backends that health and admin let hold slots
	Memberless []int           `json:"memberless_families,omitempty"` // 4, 6: families that a VIP serves with this pool, without a member
	Backends   []BackendReport `json:"backends"`                      // in the order of the configuration
}

// BackendReport is one backend of a PoolReport.
type BackendReport struct {
	Name          string           `json:"name"`
	Status        judge.Status     `json:"status"` // after the round
	Member        bool             `json:"member"`
	Transition    judge.Transition `json:"transition,omitzero"` // what the round changed
	Since         time.Time        `json:"since,omitzero"`      // when Status began
	Rise          int              `json:"rise"`                // successes in a row so far, while down
	Fall          int              `json:"fall"`                // failures in a row so far, while not down
	Held          time.Time        `json:"held_until,omitzero"` // down until then, because it flapped
	Kept          bool             `json:"kept,omitzero"`       // down, and a member because nobody else is left
	Admin         string           `json:"admin,omitempty"`     // drained or disabled: no member, whatever its status
	judge.Outcome                  // of this round, all addresses together
	Addresses     []AddressReport  `json:"addresses,omitempty"` // of this round, IPv4 first; none with the check none
}

// AddressReport is the result of one address of a backend.
type AddressReport struct {
	Address netip.AddrPort `json:"address"`
	judge.Outcome
}

// Empty lists the pools that have no member, or none for a family that they serve. A new connection there
// is rejected.
func (r Report) Empty() []string {
	var names []string
	for _, p := range r.Pools {
		if p.Members == 0 || len(p.Memberless) > 0 {
			names = append(names, p.Name)
		}
	}
	return names
}

func newPoolReport(p *configs.Pool) PoolReport {
	return PoolReport{
		Name: p.Name, Check: p.Health.Check, TimeoutMS: judge.Millis(p.Health.Timeout),
		Rise: p.Health.Rise, Fall: p.Health.Fall, MinMembers: p.MinMembers, Backends: []BackendReport{},
	}
}

func newBackendReport(name string, v judge.Verdict) BackendReport {
	st := v.State
	return BackendReport{
		Name: name, Status: st.Status, Member: st.Member(), Transition: v.Change, Since: st.Since, Rise: st.Rise, Fall: st.Fall,
		Held: st.Held, Kept: st.Kept,
		Outcome: judge.NewOutcome(v.Last),
	}
}

// count fills in the members of p, whose backends are in the order of pool.
func (p *PoolReport) count(pool *configs.Pool, families []configs.Family) {
	has := make(map[configs.Family]bool)
	for i, b := range p.Backends {
		if !b.Member {
			continue
		}
		p.Members++
		for _, a := range pool.Backends[i].Addrs.All() {
			has[configs.FamilyOf(a)] = true
		}
	}
	for _, f := range families {
		if !has[f] {
			p.Memberless = append(p.Memberless, int(f))
		}
	}
}

// warn adds a warning where backends of p could not be judged: one a pool, as the cause is mostly one.
func (r *Report) warn(p PoolReport) {
	n, first := 0, BackendReport{}
	for _, b := range p.Backends {
		if b.Step != judge.StepLocal {
			continue
		}
		if n == 0 {
			first = b
		}
		n++
	}
	if n > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("pool %s: %d of %d backends could not be judged and stay as they were; %s: %s",
			p.Name, n, len(p.Backends), first.Name, first.Reason))
	}
}
