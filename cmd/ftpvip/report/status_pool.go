package report

import (
	"fmt"
	"slices"
	"strings"

	"ftpvip/configs"
	"ftpvip/rules"
)

// Serving says which pool serves a VIP in one family.
type Serving struct {
	Family     configs.Family `json:"family"`
	Pool       string         `json:"pool,omitempty"` // the VIP's own or a fallback; none: nobody serves
	LowestTier int            `json:"lowest_tier,omitempty"`
	Tier       int            `json:"tier,omitempty"` // the highest that serves
	Members    int            `json:"members"`        // backends that hold slots
	Fit        int            `json:"fit"`            // members that the VIP's own pool would have
	MinMembers int            `json:"min_members"`    // of the VIP's own pool in this family
	Clients    int            `json:"clients"`        // remembered by affinity
}

// serve fills in Serving. It returns the members, and the VIP's pool with the fallbacks that serve.
func (v *VIP) serve(p *configs.Pool, vip *configs.VIP, have *rules.Ruleset, state rules.State) (
	members map[configs.Ref]bool, pools []*configs.Pool,
) {
	members, pools = map[configs.Ref]bool{}, []*configs.Pool{p}
	if p.Affinity > 0 {
		v.Affinity = p.Affinity.String()
	}
	for _, addr := range vip.Addrs.All() {
		f := configs.FamilyOf(addr)
		sv := state.Serving(p, f)
		s := Serving{
			Family: f, LowestTier: sv.Tiers[0], Tier: sv.Tiers[1], Members: len(sv.Members), Fit: sv.Fit, MinMembers: sv.Need,
		}
		if sv.Pool != nil {
			s.Pool = sv.Pool.Name
			if !slices.Contains(pools, sv.Pool) {
				pools = append(pools, sv.Pool)
			}
			for _, b := range sv.Members {
				members[configs.Ref{Pool: sv.Pool.Name, Backend: b.Name}] = true
			}
		}
		if have != nil {
			if clients := have.Set(rules.AffinityName(p.Name, f)); clients != nil {
				s.Clients = len(clients.Elements)
			}
		}
		v.Serving = append(v.Serving, s)
	}
	return members, pools
}

// writeServing writes which backends serve, unless it is the whole pool, and the number of clients with affinity.
func (v *VIP) writeServing(w *strings.Builder) {
	tiers := slices.ContainsFunc(v.Backends[:v.Own], func(b Backend) bool { return b.Tier != v.Backends[0].Tier })
	var texts []string
	clients := 0
	for _, s := range v.Serving {
		texts = append(texts, s.text(v.Pool, tiers))
		clients += s.Clients
	}
	for i, text := range texts {
		switch {
		case text == "" || i > 0 && text == texts[0]:
		case len(texts) > 1 && texts[1] == texts[0]:
			fmt.Fprintf(w, "  %s\n", text)
		default:
			fmt.Fprintf(w, "  IPv%d: %s\n", v.Serving[i].Family, text)
		}
	}
	if v.Affinity != "" {
		fmt.Fprintf(w, "  affinity %s: %d clients remembered\n", v.Affinity, clients)
	}
}

// text says which pool serves; "" if it is the VIP's own and has one tier.
func (s *Serving) text(pool string, tiers bool) string {
	quorum := fmt.Sprintf("NO QUORUM, %d fit of at least %d", s.Fit, s.MinMembers)
	switch {
	case s.Pool == "":
		return "NOBODY SERVES: new connections get a reset"
	case s.Pool != pool:
		return fmt.Sprintf("fallback %s serves (%s)", s.Pool, quorum)
	case s.Fit < s.MinMembers:
		return fmt.Sprintf("what is left of the pool serves (%s)", quorum)
	case tiers && s.Tier > s.LowestTier:
		return fmt.Sprintf("tiers %d to %d serve", s.LowestTier, s.Tier)
	case tiers:
		return fmt.Sprintf("tier %d serves", s.Tier)
	}
	return ""
}

// writeSlowStart writes the progress of a slow start.
func (b *Backend) writeSlowStart(w *strings.Builder) {
	if b.SlowStart > 0 {
		fmt.Fprintf(w, "  %s: slow start: %d %% of its weight\n", b.Name, b.SlowStart)
	}
}
