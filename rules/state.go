package rules

import "ftpvip/configs"

// State is what is known of the backends besides the configuration. The zero State makes every backend a
// member: a backend that no check has judged yet serves.
type State struct {
	Down  map[configs.Ref]bool  // judged down by the health checker
	Admin map[configs.Ref]Admin // what an admin decided; backends without an entry are enabled
	// Ramp is how far a backend in slow start has come: percent of its weight, 1..99. Backends without an entry
	// have their whole weight.
	Ramp map[configs.Ref]int
}

// Admin is what an admin decided about one backend. The zero value is none: enabled, with the configured weight.
type Admin struct {
	Mode   Mode
	Weight int // 1..100; 0 is the configured one
}

// Mode is whether an admin lets a backend serve.
type Mode string

// The modes. The zero value is Enabled.
const (
	Enabled  Mode = ""
	Drained  Mode = "drained"  // no new control connections; running sessions go on, with their data connections
	Disabled Mode = "disabled" // no new control connections, and running sessions are ended
)

// IsMember reports whether a backend holds slots.
func (s State) IsMember(r configs.Ref) bool { return !s.Down[r] && s.Admin[r].Mode == Enabled }

// Weight is the weight that a backend has now, 1 or more, in units of a hundredth of the configuration's.
func (s State) Weight(r configs.Ref, b configs.Backend) int {
	weight, percent := s.weight(r, b)
	return weight * percent
}

// weight is the weight that a backend has after its start, and the percentage of it that the start has come to.
func (s State) weight(r configs.Ref, b configs.Backend) (weight, percent int) {
	weight, percent = b.Weight, 100
	if w := s.Admin[r].Weight; w > 0 {
		weight = w
	}
	if p, ok := s.Ramp[r]; ok {
		percent = min(max(p, 1), 100)
	}
	return weight, percent
}

// Members lists the backends of a pool that hold slots, in the order of the configuration.
func (s State) Members(p *configs.Pool) []configs.Backend {
	var members []configs.Backend
	for _, b := range p.Backends {
		if s.IsMember(configs.Ref{Pool: p.Name, Backend: b.Name}) {
			members = append(members, b)
		}
	}
	return members
}
