package operate

import (
	"context"
	"fmt"
	"strings"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/rules"
	"ftpvip/rules/admin"
	"ftpvip/rules/change"
)

// SetMode enables, drains or disables a backend. A backend that is not configured is a UsageError.
func (o *Operator) SetMode(ctx context.Context, ref configs.Ref, mode rules.Mode) (*report.Decided, error) {
	return o.decide(ctx, ref, mode == rules.Enabled, func(f admin.File) admin.File { return f.WithMode(ref, mode, o.Clock.Now()) })
}

// SetWeight gives a backend another weight than the configured one; 0 is the configured one.
func (o *Operator) SetWeight(ctx context.Context, ref configs.Ref, weight int) (*report.Decided, error) {
	return o.decide(ctx, ref, weight == 0, func(f admin.File) admin.File { return f.WithWeight(ref, weight, o.Clock.Now()) })
}

// decide changes the admin state and the kernel's slots. A decision can be removed even if its backend is not configured.
func (o *Operator) decide(ctx context.Context, ref configs.Ref, takesBack bool, next func(admin.File) admin.File) (*report.Decided, error) {
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	in, err := o.serving()
	if err != nil {
		return nil, err
	}
	cfg := in.cfg
	now, err := o.known(cfg)
	if err != nil {
		return nil, err
	}
	_, decided := now.Admin.Backends[ref]
	if cfg.Backend(ref) == nil && (!takesBack || !decided) {
		return nil, UsageError{noSuchBackend(cfg, ref)}
	}
	before := now.Admin
	now.Admin = next(before)
	d := report.NewDecided(cfg, ref, before, now.Admin)
	dir := o.StateDir
	restore, err := admin.Snapshot(dir)
	if err != nil {
		return nil, err
	}
	write := change.Step{Name: "writing admin state", Do: func() error { return now.Admin.Save(dir) }, Undo: restore}
	update := change.Step{Name: "changing the slots", Do: func() error {
		p, err := o.updateSlots(cfg, now, ref)
		if err == nil {
			d.Deleted, d.Added = p.Elements()
		}
		return err
	}}
	steps := []change.Step{write, update}
	if !d.Changed {
		steps = steps[1:]
	}
	if err := o.Change.Carry(steps...); err != nil {
		return nil, err
	}
	o.warnIfEmpty(cfg, now, ref)
	return d, nil
}

// warnEmpty warns of a pool that has no member.
func (o *Operator) warnIfEmpty(cfg *configs.Config, now health.Known, ref configs.Ref) {
	if p := cfg.Pool(ref.Pool); p != nil && len(now.State(cfg).Members(p)) == 0 {
		o.Log.Warn("the pool has no member now: none of its backends is both healthy and enabled", "pool", p.Name)
	}
}

// noSuchBackend lists the backends that are configured.
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
		return fmt.Errorf("no pool %q in the configuration%s; it has: %s", ref.Pool, meant, listNames(pools))
	}
	var names []string
	for _, b := range p.Backends {
		names = append(names, b.Name)
	}
	return fmt.Errorf("no backend %q in pool %s%s; it has: %s", ref.Backend, ref.Pool, meant, listNames(names))
}

// listNames lists names, the first 20 of many.
func listNames(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
