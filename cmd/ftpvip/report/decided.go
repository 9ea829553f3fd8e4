package report

import (
	"fmt"

	"ftpvip/configs"
	"ftpvip/helper/reset"
	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// Decided is the document of drain, disable, enable and weight with -o json.
type Decided struct {
	Backend string     `json:"backend"` // pool/backend
	Mode    rules.Mode `json:"mode"`    // "enabled", "drained", "disabled"
	Weight  int        `json:"weight"`  // in force; 0 where the configuration does not have the backend
	Changed bool       `json:"changed"` // the decision; it may have been the same before
	Deleted int        `json:"elements_deleted"`
	Added   int        `json:"elements_added"`
}

// NewDecided compares the decisions about a backend before and after a command.
func NewDecided(cfg *configs.Config, ref configs.Ref, before, after admin.File) *Decided {
	e := after.Backends[ref]
	d := &Decided{Backend: ref.String(), Mode: e.Mode, Weight: e.Weight, Changed: !before.Equal(after)}
	if d.Mode == rules.Enabled {
		d.Mode = "enabled"
	}
	if b := cfg.Backend(ref); b != nil && d.Weight == 0 {
		d.Weight = b.Weight
	}
	return d
}

// String is the decision in a line.
func (d *Decided) String() string {
	what := "unchanged"
	if d.Changed {
		what = "changed"
	}
	weight := ""
	if d.Weight > 0 {
		weight = fmt.Sprintf(", weight %d", d.Weight)
	}
	return fmt.Sprintf("%s: %s%s (%s); slots: %d elements deleted, %d added", d.Backend, d.Mode, weight, what, d.Deleted, d.Added)
}

// Drained is the document of `ftpvip drain --wait -o json`.
type Drained struct {
	*Decided
	Sessions int     `json:"sessions"` // still running
	Seconds  float64 `json:"waited_seconds"`
}

// Disabled is the document of `ftpvip disable -o json`.
type Disabled struct {
	*Decided
	reset.Ended
}

// UnknownBackends says which commands remove decisions about backends that the configuration does not have.
func UnknownBackends(cfg *configs.Config, f admin.File) []string {
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
		list = append(list, "admin state has "+ref.String()+" is not configured; to remove it: "+remedy)
	}
	return list
}
