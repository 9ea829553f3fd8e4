// Package admin keeps what an admin decided about backends: drained, disabled, another weight. Deciding is pure
// (admin.go, codec.go); load.go has the file in the state directory.
package admin

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"ftpvip/configs"
	"ftpvip/rules"
)

// Entry is the decision about one backend. The zero value is none.
type Entry struct {
	Mode        rules.Mode
	ModeSince   time.Time // zero while enabled
	Weight      int       // 1..100; 0 is the configured one
	WeightSince time.Time // zero with the configured weight
}

// File is all decisions. Backends that no configuration has yet, or any more, may be among them.
type File struct {
	Backends map[configs.Ref]Entry
}

// State is the decisions as the rules want them.
func (f File) State() map[configs.Ref]rules.Admin {
	state := make(map[configs.Ref]rules.Admin, len(f.Backends))
	for ref, e := range f.Backends {
		state[ref] = rules.Admin{Mode: e.Mode, Weight: e.Weight}
	}
	return state
}

// WithMode returns f with another mode of a backend; now is when that was decided. A backend that has this mode
// keeps its time.
func (f File) WithMode(ref configs.Ref, mode rules.Mode, now time.Time) File {
	e := f.Backends[ref]
	if e.Mode != mode {
		e.Mode, e.ModeSince = mode, stamp(now)
	}
	if mode == rules.Enabled {
		e.ModeSince = time.Time{}
	}
	return f.with(ref, e)
}

// WithWeight returns f with another weight of a backend; 0 is the configured one.
func (f File) WithWeight(ref configs.Ref, weight int, now time.Time) File {
	e := f.Backends[ref]
	if e.Weight != weight {
		e.Weight, e.WeightSince = weight, stamp(now)
	}
	if weight == 0 {
		e.WeightSince = time.Time{}
	}
	return f.with(ref, e)
}

// with returns f with another entry. An empty one is forgotten.
func (f File) with(ref configs.Ref, e Entry) File {
	next := File{Backends: maps.Clone(f.Backends)}
	if next.Backends == nil {
		next.Backends = map[configs.Ref]Entry{}
	}
	if e == (Entry{}) {
		delete(next.Backends, ref)
	} else {
		next.Backends[ref] = e
	}
	return next
}

// Equal reports whether two files hold the same decisions.
func (f File) Equal(o File) bool { return maps.Equal(f.Backends, o.Backends) }

// Unknown lists the backends that cfg does not have, sorted. Their entries are kept: the backend may come, or come
// back.
func (f File) Unknown(cfg *configs.Config) []configs.Ref {
	var refs []configs.Ref
	for ref := range f.Backends {
		if cfg.Backend(ref) == nil {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b configs.Ref) int { return cmp.Compare(a.String(), b.String()) })
	return refs
}

// stamp is the form in which times are kept: UTC, whole seconds, which is what an admin wants to read.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
