package report

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/health"
	"ftpvip/helper/live"
	"ftpvip/rules"
)

// Status is the document of `ftpvip status -o json`.
type Status struct {
	Problems []string `json:"problems,omitempty"` // what is wrong, in the order of urgency

	Table     string    `json:"table"` // "in step", "differs", "missing" or "unknown"
	Changes   []string  `json:"changes,omitempty"`
	VIPs      []VIP     `json:"vips"`
	Helper    Helper    `json:"helper"`
	LastRound time.Time `json:"last_health_round,omitzero"`
	RoundLate bool      `json:"health_round_late"` // nobody checks any more, or never did
	Warnings  []string  `json:"warnings,omitempty"`

	PendingUntil time.Time `json:"confirm_until,omitzero"` // an apply waits for its confirmation
	RolledBack   time.Time `json:"rolled_back,omitzero"`   // the file is not in force since
	at           time.Time
	expected     time.Duration // how long after a round the next one is late; 0: none is needed

	ConfigError string `json:"config_error,omitempty"`   // why the file cannot be used: this is the status of what was applied
	Unsaved     bool   `json:"state_not_saved,omitzero"` // health state is in memory only: the state directory cannot be written
}

// VIP is a VIP with who serves it.
type VIP struct {
	Name        string    `json:"name"`
	Addresses   []string  `json:"addresses"`
	Application string    `json:"application"`
	Pool        string    `json:"pool"`
	Scheduler   string    `json:"scheduler"`
	Slots       int       `json:"slots"` // of the pool, in each family
	Members     int       `json:"members"`
	Own         int       `json:"backends_of_pool"` // Backends may list those of a fallback as well
	Serving     []Serving `json:"serving"`          // for each family of the VIP
	Affinity    string    `json:"affinity,omitempty"`
	Backends    []Backend `json:"backends"`

	Refused map[rules.Refusal]uint64 `json:"refused,omitempty"` // connections, by reason, since the reason has a counter
}

// Backend is a backend of a VIP's pool, or of a fallback that serves.
type Backend struct {
	Name        string   `json:"name"`
	Addresses   []string `json:"addresses"`
	State       string   `json:"state"` // up, down, unknown
	Member      bool     `json:"member"`
	Weight      int      `json:"weight"`
	SlowStart   int      `json:"slow_start_percent,omitempty"` // of its weight
	Tier        int      `json:"tier"`
	Slots4      int      `json:"slots4"` // in the kernel now
	Slots6      int      `json:"slots6"`
	Share       float64  `json:"share"` // of the pool's filled slots, 0..1
	Connections int      `json:"connections"`
	Reason      string   `json:"reason,omitempty"`
	*Decision            // nil where nobody decided anything
}

// Helper is what /proc says of the helper's queues, and what the helper says itself.
type Helper struct {
	Listening  bool     `json:"listening"` // on every queue
	FirstQueue uint16   `json:"first_queue"`
	Queues     int      `json:"queues"`
	Unheard    []uint16 `json:"unheard,omitempty"` // queues that nobody listens to
	Waiting    uint32   `json:"waiting"`           // packets without a verdict
	Dropped    uint32   `json:"dropped"`           // packets, since the kernel's queue or the socket was full
	Packets    uint32   `json:"packets"`

	Live   *live.Figures `json:"live,omitempty"`   // what the helper itself says, if it answers
	Silent string        `json:"silent,omitempty"` // why it does not answer, where one is running
}

// NewStatus is a status without VIPs.
func NewStatus(cfg *configs.Config, now health.Known, at time.Time) *Status {
	s := &Status{VIPs: []VIP{}, LastRound: now.Health.Round, Warnings: UnknownBackends(cfg, now.Admin)}
	s.at, s.expected = at, health.Expected(cfg)
	s.RoundLate = s.expected > 0 && at.Sub(s.LastRound) > s.expected
	return s
}

// InForce notes how the file differs from the configuration in force.
func (s *Status) InForce(r inforce.Record, now time.Time) {
	if s.RolledBack = r.RolledBack; !r.RolledBack.IsZero() {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the configuration was rolled back %s ago: the file is not in force until the "+
			"next `ftpvip apply`", age(now.Sub(r.RolledBack))))
	}
	if r.Pending != nil {
		s.PendingUntil = r.Pending.Until
		s.Warnings = append(s.Warnings, r.Pending.Text(now))
	}
}

// Broken notes that the file cannot be used, and that this is the status of what was applied.
func (s *Status) Broken(file string, applied time.Time, err error) {
	s.ConfigError = err.Error()
	first, _, more := strings.Cut(s.ConfigError, "\n")
	if more {
		first += " (and more)"
	}
	s.Problems = append(s.Problems, fmt.Sprintf("%s cannot be used, so what was applied at %s stays in force: %s; fix it, then run `ftpvip check` "+
		"and `ftpvip apply`", file, applied.Local().Format(time.DateTime), first))
}

// Denied notes that this user may not ask nf_tables.
func (s *Status) Denied() {
	s.Table = tableUnknown
	s.Warnings = append(s.Warnings, "slots, connections and the table are not shown: that needs root or CAP_NET_ADMIN")
}

// Compare notes whether the kernel's table is as it should be.
func (s *Status) Compare(have, want *rules.Ruleset, addresses string) {
	changes := Lines(addresses + rules.Diff(have, want).Text())
	switch {
	case have == nil:
		s.Table = tableMissing
	case len(changes) == 0:
		s.Table = tableInStep
	default:
		s.Table = tableDiffers
		s.Changes = changes
	}
}

// The states of our table.
const (
	tableInStep  = "in step"
	tableDiffers = "differs"
	tableMissing = "missing"
	tableUnknown = "unknown"
)

// Kernel is what the kernel says.
type Kernel struct {
	Table       *rules.Ruleset                            // nil: not there
	Connections map[netip.AddrPort]map[netip.AddrPort]int // control connections, by address of the VIP and of the backend
	Counts      map[string]uint64                         // of the counters of our table, by name
}

// AddVIP adds a VIP as it is now.
func (s *Status) AddVIP(cfg *configs.Config, v *configs.VIP, k Kernel, now health.Known) {
	vs := newVIP(cfg, v, k, now)
	vs.countRefused(k.Counts)
	s.VIPs = append(s.VIPs, vs)
}

func newVIP(cfg *configs.Config, v *configs.VIP, k Kernel, now health.Known) VIP {
	p, state := v.Pool, now.State(cfg)
	vs := VIP{
		Name: v.Name, Application: string(v.Application), Pool: p.Name, Scheduler: string(p.Scheduler),
		Slots: rules.PoolSlots(p), Backends: []Backend{},
	}
	held, filled := slotsHeld(k.Table, p)
	for _, addr := range v.Addrs.All() {
		vs.Addresses = append(vs.Addresses, netip.AddrPortFrom(addr, v.Port).String())
	}
	vs.Own = len(p.Backends)
	members, pools := vs.serve(p, v, k.Table, state)
	for _, q := range pools {
		for i := range q.Backends {
			b := &q.Backends[i]
			ref := configs.Ref{Pool: q.Name, Backend: b.Name}
			st := now.Health.Backends[ref]
			bs := Backend{
				Name: b.Name, State: st.Status.String(), Member: members[ref], Weight: b.Weight, Tier: b.Tier, SlowStart: state.Ramp[ref],
			}
			if q != p {
				bs.Name = ref.String()
			}
			bs.decided(now.Admin.Backends[ref])
			if !st.Last.OK {
				bs.Reason = st.Last.Reason
			}
			for _, addr := range b.Addrs.All() {
				at := netip.AddrPortFrom(addr, b.Port)
				bs.Addresses = append(bs.Addresses, at.String())
				if addr.Is4() {
					bs.Slots4 = held[at]
				} else {
					bs.Slots6 = held[at]
				}
				if vip := v.Addrs.Of(configs.FamilyOf(addr)); vip.IsValid() {
					bs.Connections += k.Connections[netip.AddrPortFrom(vip, v.Port)][at]
				}
			}
			if filled > 0 {
				bs.Share = float64(bs.Slots4+bs.Slots6) / float64(filled)
			}
			if bs.Member && q == p {
				vs.Members++
			}
			vs.Backends = append(vs.Backends, bs)
		}
	}
	return vs
}

// slotsHeld counts the slots of each backend in the kernel, and all of them.
func slotsHeld(have *rules.Ruleset, p *configs.Pool) (held map[netip.AddrPort]int, filled int) {
	held = map[netip.AddrPort]int{}
	if have == nil {
		return held, 0
	}
	for _, f := range configs.Families {
		set := have.Set(rules.SlotsName(p.Name, f))
		if set == nil {
			continue
		}
		for _, e := range set.Elements {
			held[rules.SlotTarget(e)]++
			filled++
		}
	}
	return held, filled
}

func (h Helper) String() string {
	last := int(h.FirstQueue) + h.Queues - 1
	switch {
	case h.Listening:
		return fmt.Sprintf("listening on queues %d-%d: %d packets so far, %d waiting, %d dropped",
			h.FirstQueue, last, h.Packets, h.Waiting, h.Dropped)
	case len(h.Unheard) == h.Queues:
		return fmt.Sprintf("NOT LISTENING on queues %d-%d: start it with `systemctl start ftpvip-helper` or `ftpvip helper`",
			h.FirstQueue, last)
	}
	return fmt.Sprintf("listening, but not on queues %v: restart it", h.Unheard)
}
