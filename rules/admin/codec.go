package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/statefile"
	"ftpvip/rules"
)

// Version is the version of the file's format that this package writes, and the only one it reads.
const Version = 1

// fileJSON is File as it is written. Fields that it does not name are ignored when it is read.
type fileJSON struct {
	Version  int                  `json:"version"`
	Backends map[string]entryJSON `json:"backends"` // by "pool/backend"
}

type entryJSON struct {
	Mode        string    `json:"mode,omitempty"` // drained, disabled
	ModeSince   time.Time `json:"mode_since,omitzero"`
	Weight      int       `json:"weight,omitempty"`
	WeightSince time.Time `json:"weight_since,omitzero"`
}

// Encode returns f as JSON, the same bytes for the same decisions.
func (f File) Encode() ([]byte, error) {
	out := fileJSON{Version: Version, Backends: make(map[string]entryJSON, len(f.Backends))}
	for ref, e := range f.Backends {
		out.Backends[ref.String()] = entryJSON{string(e.Mode), e.ModeSince, e.Weight, e.WeightSince}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding admin state: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode is the opposite of Encode. It fails where b is not JSON, is of another version (statefile.ErrVersion), or holds what
// no decision makes.
func Decode(b []byte) (File, error) {
	in, err := statefile.Unmarshal[fileJSON](b, Version)
	if err != nil {
		return File{}, fmt.Errorf("decoding admin state: %w", err)
	}
	f := File{Backends: make(map[configs.Ref]Entry, len(in.Backends))}
	for key, e := range in.Backends {
		ref, err := ParseRef(key)
		if err != nil {
			return File{}, fmt.Errorf("decoding admin state: %w", err)
		}
		entry := Entry{rules.Mode(e.Mode), e.ModeSince, e.Weight, e.WeightSince}
		switch {
		case entry.Mode != rules.Enabled && entry.Mode != rules.Drained && entry.Mode != rules.Disabled:
			return File{}, fmt.Errorf("decoding admin state: %s: mode %q, allowed: %s, %s", key, e.Mode, rules.Drained, rules.Disabled)
		case e.Weight < 0 || e.Weight > MaxWeight:
			return File{}, fmt.Errorf("decoding admin state: %s: weight %d, allowed: 1 to %d", key, e.Weight, MaxWeight)
		case entry.Mode == rules.Enabled && !e.ModeSince.IsZero(), e.Weight == 0 && !e.WeightSince.IsZero():
			return File{}, fmt.Errorf("decoding admin state: %s: a time without a decision", key)
		}
		if entry != (Entry{}) {
			f.Backends[ref] = entry
		}
	}
	return f, nil
}

// MaxWeight is the greatest weight, as in the configuration.
const MaxWeight = 100

// ParseRef reads "pool/backend".
func ParseRef(s string) (configs.Ref, error) {
	pool, backend, ok := strings.Cut(s, "/")
	if !ok || pool == "" || backend == "" || strings.Contains(backend, "/") {
		return configs.Ref{}, fmt.Errorf("%q is not POOL/BACKEND", s)
	}
	return configs.Ref{Pool: pool, Backend: backend}, nil
}

// ParseWeight reads a weight; "default" is 0, the configured one.
func ParseWeight(s string) (int, error) {
	if s == "default" {
		return 0, nil
	}
	for n := 1; n <= MaxWeight; n++ { // no sign, no leading zero, no other base
		if fmt.Sprint(n) == s {
			return n, nil
		}
	}
	return 0, fmt.Errorf("weight %q: allowed: 1 to %d, or default for the configured one; to take a backend out use `ftpvip drain`",
		s, MaxWeight)
}
