package rules

import "ftpvip/configs"

// State is what is known of the backends besides the configuration. The zero State makes every backend a
// member: a backend that no check has judged yet serves.
type State struct {
	Down map[configs.Ref]bool // judged down by the health checker
}

// IsMember tells whether a backend holds slots.
func (s State) IsMember(r configs.Ref) bool { return !s.Down[r] }

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
