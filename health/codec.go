package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/statefile"
	"ftpvip/health/judge"
)

// Version is the version of the state file's format that this package writes, and the only one it reads.
const Version = 1

// File is the state of all backends between two rounds. The zero value is a farm never looked at.
type File struct {
	Round    time.Time // when the last round began; zero before the first
	Up       Uptime    // of the host at that time
	Backends map[configs.Ref]judge.State
}

// fileJSON is File as it is written. Fields that it does not name are ignored when it is read, so that they may be
// added without a new version.
type fileJSON struct {
	Version  int                    `json:"version"`
	Round    time.Time              `json:"round,omitzero"`
	Up       Uptime                 `json:"up,omitzero"`
	Backends map[string]judge.State `json:"backends"` // by "pool/backend"
}

// Encode returns f as JSON, the same bytes for the same state.
func (f File) Encode() ([]byte, error) {
	out := fileJSON{Version: Version, Round: f.Round, Up: f.Up, Backends: make(map[string]judge.State, len(f.Backends))}
	for ref, st := range f.Backends {
		out.Backends[ref.String()] = st
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding health state: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode is the opposite of Encode. It fails where b is not JSON, is of another version (statefile.ErrVersion), or holds what
// Judge cannot have produced.
func Decode(b []byte) (File, error) {
	in, err := statefile.Unmarshal[fileJSON](b, Version)
	if err != nil {
		return File{}, fmt.Errorf("decoding health state: %w", err)
	}
	f := File{Round: in.Round, Up: in.Up, Backends: make(map[configs.Ref]judge.State, len(in.Backends))}
	for key, st := range in.Backends {
		pool, backend, ok := strings.Cut(key, "/")
		if !ok || pool == "" || backend == "" {
			return File{}, fmt.Errorf("decoding health state: %q is not pool/backend", key)
		}
		if st.Rise < 0 || st.Fall < 0 {
			return File{}, fmt.Errorf("decoding health state: %s: a negative counter", key)
		}
		if st.Status != judge.Down && (st.Kept || !st.Held.IsZero()) {
			return File{}, fmt.Errorf("decoding health state: %s: kept or held, but not down", key)
		}
		f.Backends[configs.Ref{Pool: pool, Backend: backend}] = st
	}
	return f, nil
}

// Down returns the backends that must hold no slots.
func (f File) Down() map[configs.Ref]bool {
	down := make(map[configs.Ref]bool)
	for ref, st := range f.Backends {
		if !st.Member() {
			down[ref] = true
		}
	}
	return down
}

// Ramp returns the backends in slow start with the percentage of their weight that they have at the last round; see judge.Ramp.
func (f File) Ramp(cfg *configs.Config, out func(configs.Ref) bool) map[configs.Ref]int {
	return judge.Ramp(cfg, f.Backends, f.Round, out)
}

// For returns f without the backends that cfg does not have, and without those that are down in a pool
// whose check is none by now: nobody would ever look at them again.
func (f File) For(cfg *configs.Config) File {
	kept := File{Round: f.Round, Up: f.Up, Backends: make(map[configs.Ref]judge.State)}
	for i := range cfg.Pools {
		pool := &cfg.Pools[i]
		for _, b := range pool.Backends {
			ref := configs.Ref{Pool: pool.Name, Backend: b.Name}
			st, ok := f.Backends[ref]
			if !ok || st.Stale(pool.Health.Check) {
				continue
			}
			kept.Backends[ref] = st
		}
	}
	return kept
}
