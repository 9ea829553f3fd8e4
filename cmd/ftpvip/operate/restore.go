package operate

import (
	"errors"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/rules"
)

// keepTable updates the slots of all pools, and looks at the whole table: whoever runs `nft flush ruleset` takes the VIPs away and
// no server notices. It restores what was applied where the configuration says so. The caller holds the lock.
func (o *Operator) keepTable(cfg *configs.Config, now health.Known) (*rules.Plan, *health.TableReport, error) {
	cfg, err := o.forSlots(cfg)
	if err != nil {
		return nil, nil, err
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return nil, nil, err
	}
	defer o.close(k)
	p, missing, err := o.commitSlots(k, rules.BuildSlots(cfg, now.State(cfg), nil))
	if err != nil {
		return nil, nil, err
	}
	applied, err := o.isApplied()
	if err != nil {
		return p, nil, err
	}
	if !applied {
		if missing {
			o.Log.Warn("table inet " + rules.TableName + " is not in the kernel: run ftpvip apply")
			return p, &health.TableReport{State: health.TableNone}, nil
		}
		return p, nil, nil
	}
	found, err := o.restore(k, cfg, now)
	return p, found, err
}

// isApplied reports whether it is recorded that a configuration was applied.
func (o *Operator) isApplied() (bool, error) {
	r, err := o.record()
	return r.Current != nil, err
}

// restore compares the whole table and the addresses of bind with what was applied.
func (o *Operator) restore(k Table, cfg *configs.Config, now health.Known) (*health.TableReport, error) {
	usable, _, err := o.offloadable(cfg)
	if err != nil {
		return nil, err
	}
	want, unregistered, err := o.build(usable, now)
	if err != nil {
		return nil, err
	}
	have, err := k.Read(want)
	if err != nil {
		return nil, err
	}
	addresses, err := o.binding(cfg)
	if err != nil {
		return nil, err
	}
	found := &health.TableReport{State: health.TableWhole, Changes: report.Lines(addresses.Text() + rules.Diff(have, want).Text())}
	switch {
	case len(found.Changes) == 0 && !unregistered:
		return found, nil
	case have == nil:
		found.State = health.TableMissing
	default:
		found.State = health.TableDiffers
	}
	if !cfg.Restores() {
		o.Log.Error(found.String(), "restore", "off", "changes", len(found.Changes))
		return found, nil
	}
	p := &rules.Plan{}
	steps := append(o.registerStep(unregistered), o.bindStep(addresses), o.tableStep(k, want, &p))
	if err := o.Change.Carry(steps...); err != nil {
		return found, errors.Join(errors.New(found.String()), err)
	}
	found.Restored = true
	o.Log.Warn(found.String(), "changes", len(found.Changes), "first", found.Changes[:min(1, len(found.Changes))])
	return found, nil
}
