package judge

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
)

// TestSettleSeveral: results that waited are judged one after the other, and the event has the reason of the one that
// changed the state.
func TestSettleSeveral(t *testing.T) {
	good, bad := Result{}, Fail(StepConnect, "refused", nil)
	ref := configs.Ref{Pool: "farm", Backend: "a"}
	cfg := &configs.Config{Pools: []configs.Pool{{
		Name: "farm", Backends: []configs.Backend{{Name: "a"}}, Health: configs.Health{Check: configs.CheckTCP, Rise: 2, Fall: 3},
	}}}
	up, down := State{Status: Up}, State{Status: Down}
	for _, tt := range []struct {
		name    string
		prev    State
		results []Result
		status  Status
		want    string // the event
	}{
		{"none", up, nil, Up, ""},
		{"too few", up, []Result{bad, bad}, Up, ""},
		{"fall", up, []Result{bad, bad, bad}, Down, "farm/a: up -> down: connect: refused; takes no new clients"},
		{"fall, and more", up, []Result{good, bad, bad, bad, bad, good}, Down, "farm/a: up -> down: connect: refused; takes no new clients"},
		{"rise", down, []Result{bad, good, good}, Up, "farm/a: down -> up; takes new clients"},
		{"there and back", up, []Result{bad, bad, bad, good, good}, Up, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verdicts, events := Settle(cfg, map[configs.Ref]State{ref: tt.prev}, Round{
				Began: t0, Ended: t0.Add(time.Second), Results: map[configs.Ref][]Result{ref: tt.results},
			})
			v := verdicts[ref]
			if v.State.Status != tt.status || v.Change.Changed() != (tt.prev.Status != tt.status) {
				t.Errorf("%+v", v)
			}
			got := ""
			for _, e := range events {
				got += e.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestSlots: whether a backend left is not read out of the words, and is there again after a round trip.
func TestSlots(t *testing.T) {
	for s := range Slots(len(slotsNames)) {
		e := Event{To: Down, Slots: s}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(b, &back); err != nil || back.Slots != s {
			t.Errorf("%s: %v %v", b, back.Slots, err)
		}
		if e.Leaves() != (s == SlotsLeft) || back.Leaves() != e.Leaves() {
			t.Errorf("%v: leaves %v", s, e.Leaves())
		}
		if (s.words() == "") != (s == SlotsSame) {
			t.Errorf("%v: %q", s, s.words())
		}
	}
	if (Event{To: Down, Slots: SlotsLeft, Admin: "drained"}).Leaves() {
		t.Error("an admin had taken it out")
	}
	var s Slots
	if s.UnmarshalText([]byte("fled")) == nil {
		t.Error("unknown effects are taken")
	}
}
