package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

// TestFlap plays rounds, one a second, with rise and fall of 1, at most 3 changes in 10 s. A result is + or -; the want is
// the status after it, with a * while the backend is held.
func TestFlap(t *testing.T) {
	flap := configs.Flap{Changes: 3, Window: 10 * time.Second}
	tests := []struct {
		name    string
		from    State
		flap    configs.Flap
		results string
		want    string
	}{
		{"calm", State{Status: Up}, flap, "+++++", "UUUUU"},
		{"three changes are allowed", State{Status: Up}, flap, "-+-", "DUD"},
		{"the fourth, a return, is held off", State{Status: Up}, flap, "-+-+++++++++++++", "D U D D* D* D* D* D* D* D* D* D* D* U U U"},
		{"the fourth, a fall, is held", State{Status: Down}, flap, "+-+-++", "U D U D* D* D*"},
		{"held and failing", State{Status: Down}, flap, "+-+-----------+", "U D U D* D* D* D* D* D* D* D* D* D* D U"},
		{"slow changes are none", State{Status: Up}, flap, "-----+++++-----+++++-----", "DDDDDUUUUUDDDDDUUUUUDDDDD"},
		{"the first judgement is no change", State{}, flap, "+-+-", "UDUD"},
		{"without the key", State{Status: Up}, configs.Flap{}, "-+-+-+-+", "DUDUDUDU"},
		{"the key went away", State{Status: Down, Held: t0.Add(time.Hour)}, configs.Flap{}, "+", "U"},
	}
	results := map[rune]Result{'+': {}, '-': Fail(StepConnect, "refused", nil)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st, now := tt.from, t0
			var got strings.Builder
			for _, c := range tt.results {
				now = now.Add(time.Second)
				before := append([]time.Time(nil), st.Changes...)
				next, change := Judge(st, results[c], configs.Health{Rise: 1, Fall: 1, Flap: tt.flap}, now)
				if change.Changed() != (next.Status != st.Status) {
					t.Errorf("%v from %v to %v", change, st.Status, next.Status)
				}
				if !cmp.Equal(before, append([]time.Time(nil), st.Changes...)) {
					t.Error("the state before was written to")
				}
				st = next
				got.WriteByte("uUD"[st.Status])
				if !st.Held.IsZero() {
					got.WriteByte('*')
				}
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, " ", ""), got.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
