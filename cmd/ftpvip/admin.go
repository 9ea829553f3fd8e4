package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/health/admin"
	"ftpvip/rules"
	"ftpvip/rules/change"
)

// decision is the document of drain, disable, enable and weight with -o json.
type decision struct {
	Backend string     `json:"backend"` // pool/backend
	Mode    rules.Mode `json:"mode"`    // "enabled", "drained", "disabled"
	Weight  int        `json:"weight"`  // in force; 0 where the configuration does not have the backend
	Changed bool       `json:"changed"` // the decision; it may have been the same before
	Deleted int        `json:"elements_deleted"`
	Added   int        `json:"elements_added"`
}

// backendVerb makes a command whose first argument names a backend.
func (a *app) backendVerb(use, short string, args int, f func(cmd *cobra.Command, ref configs.Ref, rest []string, asJSON bool) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args)}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		ref, err := admin.ParseRef(words[0])
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w; `ftpvip status` lists the backends", err)}
		}
		return fail(f(cmd, ref, words[1:], json), exitFailure)
	}
	return cmd
}

func (a *app) enableCommand() *cobra.Command {
	return a.backendVerb("enable POOL/BACKEND", "Take back drain and disable", 1,
		func(cmd *cobra.Command, ref configs.Ref, _ []string, asJSON bool) error {
			d, err := a.setMode(cmd.Context(), ref, rules.Enabled)
			if err != nil {
				return err
			}
			return a.printDecision(d, asJSON)
		})
}

func (a *app) weightCommand() *cobra.Command {
	return a.backendVerb("weight POOL/BACKEND N|default", "Give a backend another weight than the configured one", 2,
		func(cmd *cobra.Command, ref configs.Ref, rest []string, asJSON bool) error {
			weight, err := parseWeight(rest[0])
			if err != nil {
				return err
			}
			d, err := a.decide(cmd.Context(), ref, weight == 0, func(f admin.File) admin.File {
				return f.WithWeight(ref, weight, time.Now())
			})
			if err != nil {
				return err
			}
			return a.printDecision(d, asJSON)
		})
}

// parseWeight reads a weight; default is 0, the configured one.
func parseWeight(s string) (int, error) {
	if s == "default" {
		return 0, nil
	}
	for n := 1; n <= admin.MaxWeight; n++ { // no sign, no leading zero, no other base
		if fmt.Sprint(n) == s {
			return n, nil
		}
	}
	return 0, &exitError{exitUsage, fmt.Errorf("weight %q: allowed: 1 to %d, or default for the configured one; "+
		"to take a backend out use `ftpvip drain`", s, admin.MaxWeight)}
}

func (a *app) setMode(ctx context.Context, ref configs.Ref, mode rules.Mode) (*decision, error) {
	return a.decide(ctx, ref, mode == rules.Enabled, func(f admin.File) admin.File { return f.WithMode(ref, mode, time.Now()) })
}

// decide changes the admin state, and the kernel's slots with it. Taking a decision back is allowed for backends that
// the configuration does not have.
func (a *app) decide(ctx context.Context, ref configs.Ref, takesBack bool, next func(admin.File) admin.File) (*decision, error) {
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return nil, err
	}
	defer unlock()
	cfg, err := a.serving()
	if err != nil {
		return nil, err
	}
	now, err := a.known(cfg)
	if err != nil {
		return nil, err
	}
	_, decided := now.admin.Backends[ref]
	if cfg.Backend(ref) == nil && (!takesBack || !decided) {
		return nil, &exitError{exitUsage, noSuchBackend(cfg, ref)}
	}
	before := now.admin
	now.admin = next(before)
	d := &decision{Backend: ref.String(), Mode: now.admin.Backends[ref].Mode, Changed: !before.Equal(now.admin)}
	if d.Mode == rules.Enabled {
		d.Mode = "enabled"
	}
	if b := cfg.Backend(ref); b != nil {
		d.Weight = b.Weight
	}
	if w := now.admin.Backends[ref].Weight; w > 0 {
		d.Weight = w
	}
	dir := a.v.GetString("state-dir")
	restore, err := admin.Snapshot(dir)
	if err != nil {
		return nil, err
	}
	write := change.Step{Name: "writing admin state", Do: func() error { return now.admin.Save(dir) }, Undo: restore}
	update := change.Step{Name: "changing the slots", Do: func() error {
		p, err := a.updateSlots(cfg, now, ref)
		if err == nil {
			d.Deleted, d.Added = p.Elements()
		}
		return err
	}}
	steps := []change.Step{write, update}
	if !d.Changed {
		steps = steps[1:]
	}
	if err := a.change.Carry(steps...); err != nil {
		return nil, err
	}
	a.warnEmpty(cfg, now, ref)
	return d, nil
}

// warnEmpty warns of a pool that has no member.
func (a *app) warnEmpty(cfg *configs.Config, now known, ref configs.Ref) {
	if p := cfg.Pool(ref.Pool); p != nil && len(now.state(cfg).Members(p)) == 0 {
		a.log.Warn("the pool has no member now: none of its backends is both healthy and enabled", "pool", p.Name)
	}
}

// noSuchBackend says what is there instead.
func noSuchBackend(cfg *configs.Config, ref configs.Ref) error {
	var refs, pools []string
	for i := range cfg.Pools {
		pools = append(pools, cfg.Pools[i].Name)
		for _, b := range cfg.Pools[i].Backends {
			refs = append(refs, configs.Ref{Pool: cfg.Pools[i].Name, Backend: b.Name}.String())
		}
	}
	meant := ""
	if near := configs.Nearest(ref.String(), refs); near != "" {
		meant = " (did you mean " + near + "?)"
	}
	p := cfg.Pool(ref.Pool)
	if p == nil {
		return fmt.Errorf("no pool %q in the configuration%s; it has: %s", ref.Pool, meant, some(pools))
	}
	var names []string
	for _, b := range p.Backends {
		names = append(names, b.Name)
	}
	return fmt.Errorf("no backend %q in pool %s%s; it has: %s", ref.Backend, ref.Pool, meant, some(names))
}

// some lists names, but not hundreds.
func some(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (a *app) printDecision(d *decision, asJSON bool) error {
	if asJSON {
		return writeJSON(a.stdout, d)
	}
	return write(a.stdout, "%s\n", d)
}

// String is the decision in a line.
func (d *decision) String() string {
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
