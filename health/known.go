package health

import (
	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// Known is the state of the backends: the results of checks, and the decisions of an admin.
type Known struct {
	Health File
	Admin  admin.File
}

// State converts it for package rules.
func (k Known) State(cfg *configs.Config) rules.State {
	decided := k.Admin.State()
	out := func(ref configs.Ref) bool { return decided[ref].Mode != rules.Enabled }
	return rules.State{Down: k.Health.Down(), Admin: decided, Ramp: k.Health.Ramp(cfg, out)}
}
