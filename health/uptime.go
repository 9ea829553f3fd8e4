package health

import (
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// Uptime is how long the host had been up, since which start. Unlike the clock on the wall it does not jump.
type Uptime struct {
	Boot string        `json:"boot"` // the kernel's id of this start
	Up   time.Duration `json:"up"`
}

// maxDrift is by how much the clock on the wall may differ from the host's uptime between two rounds: clocks are slewed, and times are
// taken one after the other.
const maxDrift = 2 * time.Second

// Adjusted returns f with all its times moved, if the clock on the wall has jumped since the last round: who was held down for ten minutes, or
// got its weight over a minute, stays on its way.
func (f File) Adjusted(now time.Time, up Uptime) File {
	if f.Up.Boot == "" || f.Up.Boot != up.Boot || f.Round.IsZero() {
		return f
	}
	jump := now.Sub(f.Round) - (up.Up - f.Up.Up)
	if jump.Abs() <= maxDrift {
		return f
	}
	move := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return stamp(t.Add(jump))
	}
	moved := File{Round: move(f.Round), Up: f.Up, Backends: make(map[configs.Ref]judge.State, len(f.Backends))}
	for ref, st := range f.Backends {
		st.Since, st.Checked, st.Readmitted, st.Held = move(st.Since), move(st.Checked), move(st.Readmitted), move(st.Held)
		changes := make([]time.Time, len(st.Changes))
		for i, t := range st.Changes {
			changes[i] = move(t)
		}
		if st.Changes != nil {
			st.Changes = changes
		}
		moved.Backends[ref] = st
	}
	return moved
}
