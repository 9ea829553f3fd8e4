package main

import (
	"errors"
	"fmt"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/helper/carrier"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

// attempts is how often a change is tried where somebody else changes the kernel's rules at the same time.
const attempts = 10

// desired is the table that configuration and state ask for, and whether its carrier has yet to be registered.
func (a *app) desired(cfg *configs.Config) (want *rules.Ruleset, unregistered bool, err error) {
	now, err := a.known(cfg)
	if err != nil {
		return nil, false, err
	}
	usable, err := a.usable(cfg)
	if err != nil {
		return nil, false, err
	}
	return build(usable, now)
}

// build makes the table of a configuration that the kernel can do, and what is known of its backends.
func build(cfg *configs.Config, now known) (want *rules.Ruleset, unregistered bool, err error) {
	name, unregistered, err := carrier.Choose(cfg.Helper.Carrier)
	if err != nil {
		return nil, false, err
	}
	return rules.Build(cfg, now.state(cfg), name), unregistered, nil
}

// healthFile reads what is known of the backends, and logs what is wrong with it.
func (a *app) healthFile(cfg *configs.Config) (health.File, error) {
	file, warnings, err := health.Load(a.v.GetString("state-dir"), cfg)
	for _, w := range warnings {
		a.log.Warn(w)
	}
	return file, err
}

// commit reads the kernel's table, lets plan decide what to do, and does it; again where the kernel's rules
// changed in between.
func commit(k *kernel.Kernel, read func() (*rules.Ruleset, error), plan func(have *rules.Ruleset) *rules.Plan) (*rules.Plan, error) {
	var err error
	for range attempts {
		var have *rules.Ruleset
		if have, err = read(); err != nil {
			return nil, err
		}
		p := plan(have)
		if err = k.Commit(p); err == nil {
			return p, nil
		}
		if !errors.Is(err, kernel.ErrChanged) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, %d times in a row: another program keeps changing them; try again", err, attempts)
}

// commitTo is commit towards want. Where clients are remembered it looks a second time: one that connected between
// our reading and our writing may be remembered on a backend that is no member any more.
func commitTo(want *rules.Ruleset, k *kernel.Kernel, read func() (*rules.Ruleset, error),
	plan func(have *rules.Ruleset) *rules.Plan,
) (*rules.Plan, error) {
	p, err := commit(k, read, plan)
	if err == nil && !p.Empty() && len(want.Affinity) > 0 {
		_, err = commit(k, read, plan)
	}
	return p, err
}

// updateSlots writes the slot elements that differ from what the configuration in force asks for, in one transaction, and
// nothing else: those of all pools, or of what the given backends have a part in, however many others there are. Where our
// table is not in the kernel it warns, and the next apply does it. The caller holds the lock.
func (a *app) updateSlots(cfg *configs.Config, now known, backends ...configs.Ref) (*rules.Plan, error) {
	cfg, err := a.forSlots(cfg)
	if err != nil {
		return nil, err
	}
	want := rules.BuildSlots(cfg, now.state(cfg), backends)
	k, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	defer a.close(k)
	missing := false
	p, err := commitTo(want, k, func() (*rules.Ruleset, error) { return k.ReadSlots(want) },
		func(have *rules.Ruleset) *rules.Plan {
			if missing = have == nil; missing {
				return &rules.Plan{}
			}
			return rules.SlotDiff(have, want)
		})
	if err == nil && missing {
		a.log.Warn("table inet " + rules.TableName + " is not in the kernel: run ftpvip apply")
	}
	return p, err
}
