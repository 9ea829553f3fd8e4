package operate

import (
	"errors"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
)

// desired returns the table for a configuration and the current state. unregistered: its carrier must be registered first.
func (o *Operator) desired(cfg *configs.Config) (want *rules.Ruleset, unregistered bool, err error) {
	now, err := o.known(cfg)
	if err != nil {
		return nil, false, err
	}
	usable, err := o.usable(cfg)
	if err != nil {
		return nil, false, err
	}
	return o.build(usable, now)
}

// build returns the table for a configuration that this kernel supports, and the state of its backends.
func (o *Operator) build(cfg *configs.Config, now health.Known) (want *rules.Ruleset, unregistered bool, err error) {
	name, unregistered, err := o.Carrier.Choose(cfg.Helper.Carrier)
	if err != nil {
		return nil, false, err
	}
	return rules.Build(cfg, now.State(cfg), name), unregistered, nil
}

// noFlowtables is the warning if the kernel does not support what the configuration asks for.
const noFlowtables = "this kernel has no flowtables (CONFIG_NF_FLOW_TABLE_INET, CONFIG_NFT_FLOW_OFFLOAD): VIPs with offload: flowtable " +
	"work without; use a kernel that has them, or delete the key"

// offloadable returns the configuration without offload if the kernel does not support it. A user who may not query the
// kernel gets the configuration as it is.
func (o *Operator) offloadable(cfg *configs.Config) (usable *configs.Config, lacking bool, err error) {
	if !cfg.Offloads() {
		return cfg, false, nil
	}
	has, err := o.Kernel.HasFlowtables()
	switch {
	case denied(err):
		return cfg, false, nil
	case err != nil:
		return nil, false, err
	case has:
		return cfg, false, nil
	}
	return cfg.WithoutOffload(), true, nil
}

// usable is offloadable, with a warning in the log.
func (o *Operator) usable(cfg *configs.Config) (*configs.Config, error) {
	usable, lacking, err := o.offloadable(cfg)
	if lacking {
		o.Log.Warn(noFlowtables)
	}
	return usable, err
}

// binding plans which addresses to add and to remove for a configuration; nil stands for one without VIPs.
func (o *Operator) binding(cfg *configs.Config) (bind.Plan, error) {
	have, err := o.Addresses.Read()
	if err != nil {
		return bind.Plan{}, err
	}
	return bind.Diff(have, bind.Wanted(cfg))
}

// bindingText is the plan as text, for commands that change nothing. A conflict is part of the text.
func (o *Operator) bindingText(cfg *configs.Config) (string, error) {
	p, err := o.binding(cfg)
	if errors.Is(err, bind.ErrTaken) {
		return "! " + err.Error() + "\n", nil
	}
	return p.Text(), err
}

// bindStep is the step that binds addresses.
func (o *Operator) bindStep(p bind.Plan) change.Step {
	var undo func() error
	return change.Step{
		Name: "binding VIPs to interfaces",
		Do: func() (err error) {
			undo, err = o.Addresses.Apply(p)
			return err
		},
		Undo: func() error {
			if undo == nil { // Do was not called
				return nil
			}
			return undo()
		},
	}
}

// registerStep is the step that registers the carrier, if needed.
func (o *Operator) registerStep(unregistered bool) []change.Step {
	if !unregistered {
		return nil
	}
	return []change.Step{{Name: "registering the conntrack helper", Do: o.Carrier.Register, Undo: o.Carrier.Unregister}}
}

// close closes a connection to the kernel. An admin can do nothing about an error.
func (o *Operator) close(k interface{ Close() error }) {
	if err := k.Close(); err != nil {
		o.Log.Debug("cannot close the netlink socket", "err", err)
	}
}

// Register makes the carrier known to the kernel, if the configuration needs one that is not known yet.
func (o *Operator) Register() error {
	in, err := o.serving()
	if err != nil {
		return err
	}
	_, unregistered, err := o.Carrier.Choose(in.cfg.Helper.Carrier)
	if err != nil || !unregistered {
		return err
	}
	return o.Carrier.Register()
}
