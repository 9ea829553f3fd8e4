package operate

import (
	"errors"
	"fmt"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

// patientAttempts is how often it is tried so that nobody changes any rule meanwhile.
const patientAttempts = 2

// attempts is how often a change is tried if another program changes the kernel's rules at the same time.
const attempts = 10

// commit reads the kernel's table, asks plan what to change, and commits that. It starts again if the kernel's rules changed
// in between.
func commit(k Table, read func() (*rules.Ruleset, error), plan func(have *rules.Ruleset) *rules.Plan) (*rules.Plan, error) {
	var err error
	last := ""
	for i := range attempts {
		var have *rules.Ruleset
		if have, err = read(); err != nil {
			return nil, err
		}
		p := plan(have)
		// Some programs change their rules hundreds of times a second. Where our table is as it was at the last attempt, those were not ours.
		text := ""
		if i >= patientAttempts {
			text = p.Text()
		}
		if text != "" && text == last {
			err = k.CommitAnyway(p)
		} else {
			err = k.Commit(p)
		}
		if last = text; err == nil {
			return p, nil
		}
		if !errors.Is(err, kernel.ErrChanged) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, %d times in a row: another program keeps changing them; try again", err, attempts)
}

// commitTo is commit towards want. With affinity it runs twice: a client that connected between read and commit may be
// assigned to a backend that is no longer a member.
func commitTo(want *rules.Ruleset, k Table, read func() (*rules.Ruleset, error),
	plan func(have *rules.Ruleset) *rules.Plan,
) (*rules.Plan, error) {
	p, err := commit(k, read, plan)
	if err == nil && !p.Empty() && len(want.Affinity) > 0 {
		_, err = commit(k, read, plan)
	}
	return p, err
}

// updateSlots writes the slot elements that differ from the configuration in force, in one transaction, and nothing else: of
// all pools, or only of those that the given backends belong to. If our table is not in the kernel, it warns. The caller
// holds the lock.
func (o *Operator) updateSlots(cfg *configs.Config, now health.Known, backends ...configs.Ref) (*rules.Plan, error) {
	cfg, err := o.forSlots(cfg)
	if err != nil {
		return nil, err
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return nil, err
	}
	defer o.close(k)
	p, missing, err := o.commitSlots(k, rules.BuildSlots(cfg, now.State(cfg), backends))
	if err == nil && missing {
		o.Log.Warn("table inet " + rules.TableName + " is not in the kernel: run ftpvip apply")
	}
	return p, err
}

// commitSlots writes the slot elements that differ.
func (o *Operator) commitSlots(k Table, want *rules.Ruleset) (p *rules.Plan, missing bool, err error) {
	p, err = commitTo(want, k, func() (*rules.Ruleset, error) { return k.ReadSlots(want) },
		func(have *rules.Ruleset) *rules.Plan {
			if missing = have == nil; missing {
				return &rules.Plan{}
			}
			return rules.SlotDiff(have, want)
		})
	return p, missing, err
}
