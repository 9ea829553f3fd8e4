package main

import (
	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/admin"
	"ftpvip/rules"
)

// known is what is known of the backends besides the configuration.
type known struct {
	health health.File
	admin  admin.File
}

// state is that as the rules want it.
func (k known) state(cfg *configs.Config) rules.State {
	decided := k.admin.State()
	out := func(ref configs.Ref) bool { return decided[ref].Mode != rules.Enabled }
	return rules.State{Down: k.health.Down(), Admin: decided, Ramp: k.health.Ramp(cfg, out)}
}

// known reads what is known of the backends, and logs what is wrong with the files. Who changes the kernel by it
// holds the lock.
func (a *app) known(cfg *configs.Config) (known, error) {
	file, err := a.healthFile(cfg)
	if err != nil {
		return known{}, err
	}
	decisions, err := a.adminFile()
	return known{file, decisions}, err
}

// adminFile reads what an admin decided, and logs what is wrong with it.
func (a *app) adminFile() (admin.File, error) {
	file, warnings, err := admin.Load(a.v.GetString("state-dir"))
	for _, w := range warnings {
		a.log.Warn(w)
	}
	return file, err
}

// strangers tells which commands forget decisions about backends that the configuration does not have.
func strangers(cfg *configs.Config, f admin.File) []string {
	list := []string{}
	for _, ref := range f.Unknown(cfg) {
		e, remedy := f.Backends[ref], ""
		if e.Mode != rules.Enabled {
			remedy = "`ftpvip enable " + ref.String() + "`"
		}
		if e.Weight > 0 {
			if remedy != "" {
				remedy += " and "
			}
			remedy += "`ftpvip weight " + ref.String() + " default`"
		}
		list = append(list, "admin state has "+ref.String()+", which the configuration has not; to forget it: "+remedy)
	}
	return list
}
