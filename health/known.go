package health

import (
	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// Known is what is known of the backends besides the configuration: what checks found, and what an admin decided.
type Known struct {
	Health File
	Admin  admin.File
}

// State is that as the rules want it.
func (k Known) State(cfg *configs.Config) rules.State {
	decided := k.Admin.State()
	out := func(ref configs.Ref) bool { return decided[ref].Mode != rules.Enabled }
	return rules.State{Down: k.Health.Down(), Admin: decided, Ramp: k.Health.Ramp(cfg, out)}
}
