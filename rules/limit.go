package rules

import "fmt"

// The statements of lists and limits.
type (
	// MatchNotInSet matches where the key is not in the set.
	MatchNotInSet struct {
		Key Key
		Set string
	}
	// CountOver matches new connections where a dynamic set has more than Max connections of the key.
	CountOver struct {
		Key Key
		Set string
		Max uint32
	}
	// RateOver matches packets where there are more than PerSecond a second of the key, after the first Burst.
	RateOver struct {
		Key       Key
		Set       string
		PerSecond uint64
		Burst     uint32
	}
	// Count counts packets in a named counter.
	Count struct{ Counter string }
)

// Text implements Statement.
func (s MatchNotInSet) Text() string { return s.Key.text() + " != @" + s.Set }

// Needs implements Statement.
func (s MatchNotInSet) Needs() Needs { return uses(KindSet, s.Set) }

// Text implements Statement.
func (s CountOver) Text() string {
	return fmt.Sprintf("add @%s { %s ct count over %d }", s.Set, s.Key.text(), s.Max)
}

// Needs implements Statement.
func (s CountOver) Needs() Needs {
	n := uses(KindSet, s.Set)
	n.Meter, n.Option, n.Key = s.Set, "CONFIG_NFT_CONNLIMIT (module nft_connlimit)", "limits.connections_per_backend"
	if s.Key.Selector == Client {
		n.Key = "limits.connections_per_client"
	}
	return n
}

// Text implements Statement.
func (s RateOver) Text() string {
	return fmt.Sprintf("update @%s { %s limit rate over %d/second burst %d packets }", s.Set, s.Key.text(), s.PerSecond, s.Burst)
}

// Needs implements Statement.
func (s RateOver) Needs() Needs {
	n := uses(KindSet, s.Set)
	n.Meter, n.Option, n.Key = s.Set, "CONFIG_NFT_LIMIT (module nft_limit)", "limits.new_per_second_per_client"
	return n
}

// Text implements Statement.
func (s Count) Text() string { return fmt.Sprintf("counter name %q", s.Counter) }

// Needs implements Statement.
func (s Count) Needs() Needs { return uses(KindCounter, s.Counter) }

func (d *Dynamic) lines() []string {
	size := fmt.Sprintf("size %d", d.Size)
	if d.Timeout == 0 {
		return []string{size, "flags dynamic"}
	}
	return []string{size, "flags dynamic,timeout", "timeout " + timeText(d.Timeout)}
}

// meters lists, for each dynamic set, the texts of the statements that add to it. An element of such a set has a
// limit of its own, copied from the statement that made it: where the statement changes, the set has to go.
func (r *Ruleset) meters() map[string]string {
	meters := map[string]string{}
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			for _, s := range rule.Statements {
				if set := s.Needs().Meter; set != "" {
					meters[set] += s.Text()
				}
			}
		}
	}
	return meters
}
