package report

import (
	"fmt"
	"strings"
	"time"

	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// Decision is what an admin decided about a backend.
type Decision struct {
	Mode             rules.Mode `json:"admin,omitempty"` // drained, disabled
	ModeSince        time.Time  `json:"admin_since,omitzero"`
	ConfiguredWeight int        `json:"configured_weight,omitempty"` // where another one holds
	WeightSince      time.Time  `json:"weight_since,omitzero"`
}

// decided notes an admin's decision.
func (b *Backend) decided(e admin.Entry) {
	if e == (admin.Entry{}) {
		return
	}
	b.Decision = &Decision{Mode: e.Mode, ModeSince: e.ModeSince}
	if e.Weight > 0 {
		b.ConfiguredWeight, b.Weight, b.WeightSince = b.Weight, e.Weight, e.WeightSince
	}
}

// stateText is what health and admin say, in short.
func (b *Backend) stateText() string {
	if b.Decision == nil || b.Mode == rules.Enabled {
		return b.State
	}
	return b.State + "," + string(b.Mode)
}

// writeAdmin tells what an admin decided, and when.
func (b *Backend) writeAdmin(w *strings.Builder, now time.Time) {
	if b.Decision == nil {
		return
	}
	since := func(t time.Time) string { return fmt.Sprintf("for %s", age(now.Sub(t))) }
	if b.Mode != rules.Enabled {
		fmt.Fprintf(w, "  %s: %s by an admin %s\n", b.Name, b.Mode, since(b.ModeSince))
	}
	if b.ConfiguredWeight > 0 {
		fmt.Fprintf(w, "  %s: weight %d by an admin %s, the configuration has %d\n", b.Name, b.Weight, since(b.WeightSince),
			b.ConfiguredWeight)
	}
}
