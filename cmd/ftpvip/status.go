package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/health"
	"ftpvip/helper"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

// status is the document of `ftpvip status -o json`.
type status struct {
	Table     string       `json:"table"` // "in step", "differs" or "missing"
	Changes   []string     `json:"changes,omitempty"`
	VIPs      []vipStatus  `json:"vips"`
	Helper    helperStatus `json:"helper"`
	LastRound time.Time    `json:"last_health_round,omitzero"`
	RoundLate bool         `json:"health_round_late"` // nobody checks any more, or never did
	Warnings  []string     `json:"warnings,omitempty"`

	PendingUntil time.Time `json:"confirm_until,omitzero"` // an apply waits for its confirmation
	RolledBack   time.Time `json:"rolled_back,omitzero"`   // the file is not in force since
}

type vipStatus struct {
	Name        string          `json:"name"`
	Addresses   []string        `json:"addresses"`
	Application string          `json:"application"`
	Pool        string          `json:"pool"`
	Scheduler   string          `json:"scheduler"`
	Slots       int             `json:"slots"` // of the pool, in each family
	Members     int             `json:"members"`
	Own         int             `json:"backends_of_pool"` // Backends may list those of a fallback as well
	Serving     []servingStatus `json:"serving"`          // for each family of the VIP
	Affinity    string          `json:"affinity,omitempty"`
	Backends    []backendStatus `json:"backends"`

	Refused map[rules.Refusal]uint64 `json:"refused,omitempty"` // connections, by reason, since the reason has a counter
}

type backendStatus struct {
	Name         string   `json:"name"`
	Addresses    []string `json:"addresses"`
	State        string   `json:"state"` // up, down, unknown
	Member       bool     `json:"member"`
	Weight       int      `json:"weight"`
	SlowStart    int      `json:"slow_start_percent,omitempty"` // of its weight
	Tier         int      `json:"tier"`
	Slots4       int      `json:"slots4"` // in the kernel now
	Slots6       int      `json:"slots6"`
	Share        float64  `json:"share"` // of the pool's filled slots, 0..1
	Connections  int      `json:"connections"`
	Reason       string   `json:"reason,omitempty"`
	*adminStatus          // nil where nobody decided anything
}

type helperStatus struct {
	Listening  bool     `json:"listening"` // on every queue
	FirstQueue uint16   `json:"first_queue"`
	Queues     int      `json:"queues"`
	Unheard    []uint16 `json:"unheard,omitempty"` // queues that nobody listens to
	Waiting    uint32   `json:"waiting"`           // packets without a verdict
	Dropped    uint32   `json:"dropped"`           // packets, since the kernel's queue or the socket was full
	Packets    uint32   `json:"packets"`

	Live *live.Figures `json:"live,omitempty"` // what the helper itself says, if it answers
}

func (a *app) statusCommand() *cobra.Command {
	cmd := verb("status", "Show VIPs, pools, backends and the helper", nil)
	cmd.PreRunE = a.look
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		s, err := a.status(cmd.Context())
		if err != nil {
			return fail(err, exitFailure)
		}
		if json {
			return fail(writeJSON(a.stdout, s), exitFailure)
		}
		return fail(s.write(a.stdout, time.Now()), exitFailure)
	}
	return cmd
}

func (a *app) status(ctx context.Context) (*status, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	now, err := a.known(cfg)
	if err != nil {
		return nil, err
	}
	usable, lacking, err := offloadable(cfg)
	if err != nil {
		return nil, err
	}
	want, _, err := build(usable, now)
	if err != nil {
		return nil, err
	}
	k, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	defer a.close(k)
	have, err := k.Read(want)
	if err != nil {
		return nil, err
	}
	connections, err := helper.ControlConnections(cfg)
	if err != nil {
		return nil, err
	}
	counts, err := k.Counts()
	if err != nil {
		return nil, err
	}
	s := &status{VIPs: []vipStatus{}, LastRound: now.health.Round, Warnings: strangers(cfg, now.admin)}
	if lacking {
		s.Warnings = append(s.Warnings, noFlowtables)
	}
	record, err := a.record()
	if err != nil {
		return nil, err
	}
	s.inForce(record, time.Now())
	expected := health.Expected(cfg)
	s.RoundLate = expected > 0 && time.Since(s.LastRound) > expected
	addresses, err := bindingText(cfg)
	if err != nil {
		return nil, err
	}
	s.compare(have, want, addresses)
	if s.Helper, err = a.helperState(cfg.Helper); err != nil {
		return nil, err
	}
	s.Helper.Live, err = live.AskFigures(ctx, a.socket())
	if err != nil {
		s.Helper.Live = nil // what /proc says must do
		if !errors.Is(err, live.ErrNotRunning) {
			a.log.Warn("the helper's own figures are missing", "err", err)
		}
	}
	for i := range cfg.VIPs {
		vs := vipState(cfg, &cfg.VIPs[i], have, now, connections)
		vs.countRefused(counts)
		s.VIPs = append(s.VIPs, vs)
	}
	return s, nil
}

// inForce notes what stands between the file and what is in force.
func (s *status) inForce(r inforce.Record, now time.Time) {
	if s.RolledBack = r.RolledBack; !r.RolledBack.IsZero() {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the configuration was rolled back %s ago: the file is not in force until the "+
			"next `ftpvip apply`", ageText(now.Sub(r.RolledBack))))
	}
	if r.Pending != nil {
		s.PendingUntil = r.Pending.Until
		s.Warnings = append(s.Warnings, pendingText(r.Pending, now))
	}
}

// compare says whether the kernel has what it should.
func (s *status) compare(have, want *rules.Ruleset, addresses string) {
	changes := lines(addresses + rules.Diff(have, want).Text())
	switch {
	case have == nil:
		s.Table = "missing"
	case len(changes) == 0:
		s.Table = "in step"
	default:
		s.Table = "differs"
		s.Changes = changes
	}
}

func vipState(cfg *configs.Config, v *configs.VIP, have *rules.Ruleset, now known,
	connections map[netip.AddrPort]map[netip.AddrPort]int,
) vipStatus {
	p, state := v.Pool, now.state(cfg)
	vs := vipStatus{
		Name: v.Name, Application: string(v.Application), Pool: p.Name, Scheduler: string(p.Scheduler),
		Slots: rules.PoolSlots(p), Backends: []backendStatus{},
	}
	held, filled := slotsHeld(have, p)
	for _, addr := range v.Addrs.All() {
		vs.Addresses = append(vs.Addresses, netip.AddrPortFrom(addr, v.Port).String())
	}
	vs.Own = len(p.Backends)
	members, pools := vs.serve(p, v, have, state)
	for _, q := range pools {
		for i := range q.Backends {
			b := &q.Backends[i]
			ref := configs.Ref{Pool: q.Name, Backend: b.Name}
			st := now.health.Backends[ref]
			bs := backendStatus{
				Name: b.Name, State: st.Status.String(), Member: members[ref], Weight: b.Weight, Tier: b.Tier, SlowStart: state.Ramp[ref],
			}
			if q != p {
				bs.Name = ref.String()
			}
			bs.decided(now.admin.Backends[ref])
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
					bs.Connections += connections[netip.AddrPortFrom(vip, v.Port)][at]
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

func (a *app) helperState(cfg configs.Helper) (helperStatus, error) {
	h := helperStatus{FirstQueue: cfg.FirstQueue, Queues: cfg.Queues}
	queues, err := a.seen.queues, a.seen.queuesErr
	if err != nil {
		return h, err
	}
	for i := range cfg.Queues {
		n := cfg.FirstQueue + uint16(i)
		q, ok := queues[n]
		if !ok {
			h.Unheard = append(h.Unheard, n)
			continue
		}
		h.Waiting += q.Waiting
		h.Dropped += q.Dropped + q.UserDropped
		h.Packets += q.Packets
	}
	slices.Sort(h.Unheard)
	h.Listening = len(h.Unheard) == 0
	return h, nil
}

func (h helperStatus) String() string {
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
