package judge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

var t0 = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// TestJudge plays rounds, one a second. A result is + for a success, - for a failure, ? for an inconclusive one; the
// want is the status after it (u, U, D for unknown, up, down) and its counter.
func TestJudge(t *testing.T) {
	tests := []struct {
		name       string
		from       State
		rise, fall int
		results    string
		want       string
	}{
		{"new and good", State{}, 2, 3, "+", "U0"},
		{"new and bad", State{}, 2, 3, "---", "u1 u2 D0"},
		{"new, good between", State{}, 2, 3, "--+--", "u1 u2 U0 U1 U2"},
		{"fall", State{Status: Up}, 2, 3, "---", "U1 U2 D0"},
		{"fall not in a row", State{Status: Up}, 2, 3, "--+--+---", "U1 U2 U0 U1 U2 U0 U1 U2 D0"},
		{"rise", State{Status: Down}, 2, 3, "++", "D1 U0"},
		{"rise not in a row", State{Status: Down}, 3, 3, "++-+++", "D1 D2 D0 D1 D2 U0"},
		{"down stays down", State{Status: Down}, 2, 3, "-----", "D0 D0 D0 D0 D0"},
		{"there and back", State{}, 2, 2, "+--++", "U0 U1 D0 D1 U0"},
		{"one is enough", State{Status: Up}, 1, 1, "-+-+", "D0 U0 D0 U0"},
		{"zero counts as one", State{Status: Up}, 0, 0, "-+", "D0 U0"},
		{"inconclusive counts neither way", State{Status: Up}, 2, 3, "--??-", "U1 U2 U2 U2 D0"},
		{"inconclusive while rising", State{Status: Down}, 2, 3, "+?+", "D1 D1 U0"},
		{"inconclusive and new", State{}, 1, 1, "????", "u0 u0 u0 u0"},
		{"fall lowered meanwhile", State{Status: Up, Fall: 4}, 2, 2, "-", "D0"},
		{"rise lowered meanwhile", State{Status: Down, Rise: 4}, 2, 2, "+", "U0"},
	}
	results := map[rune]Result{
		'+': {Took: 1500 * time.Microsecond},
		'-': Fail(StepConnect, "refused", errors.New("refused")),
		'?': Fail(StepLocal, "no descriptors", nil),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st, now := tt.from, t0
			var got []string
			for _, c := range tt.results {
				now = now.Add(time.Second)
				next, change := Judge(st, results[c], configs.Health{Rise: tt.rise, Fall: tt.fall}, now)
				if want := (Transition{From: st.Status, To: next.Status}); want.Changed() && change != want || !want.Changed() && change != (Transition{}) {
					t.Errorf("transition %+v from %v to %v", change, st.Status, next.Status)
				}
				if change.Changed() != next.Since.Equal(now) {
					t.Errorf("since %v at %v, transition %v", next.Since, now, change)
				}
				if c == '?' && !cmp.Equal(next, st) {
					t.Errorf("an inconclusive result made %+v of %+v", next, st)
				}
				if next.Member() != (next.Status != Down) {
					t.Errorf("status %v, member %v", next.Status, next.Member())
				}
				st = next
				got = append(got, string("uUD"[st.Status])+string(rune('0'+st.Rise+st.Fall)))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestJudgeRemembers(t *testing.T) {
	prev := State{Status: Up, Since: t0, Fall: 2, Checked: t0.Add(time.Minute)}
	now := t0.Add(time.Hour)
	got, change := Judge(prev, Result{Step: StepBanner, Reason: "why", Took: 1234567 * time.Nanosecond}, configs.Health{Rise: 2, Fall: 3}, now)
	want := State{Status: Down, Since: now, Checked: now, Last: Outcome{Step: StepBanner, Reason: "why", LatencyMS: 1.234}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if change.String() != "up -> down" {
		t.Errorf("transition %q", change)
	}
}
