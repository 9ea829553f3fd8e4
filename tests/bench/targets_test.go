package main

import "testing"

func TestSummary(t *testing.T) {
	for name, tt := range map[string]struct {
		outcomes []outcome
		want     string
	}{
		"all met":      {[]outcome{met, met}, "All 2 targets are met."},
		"one missed":   {[]outcome{met, missed, notMeasured}, "MISSED: 1 of 3 targets."},
		"not measured": {[]outcome{met, notMeasured}, "No target is missed, but 1 of 2 were not measured."},
	} {
		t.Run(name, func(t *testing.T) {
			var list []target
			for _, o := range tt.outcomes {
				list = append(list, target{Outcome: o})
			}
			if got := summary(list); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The target of memory is for every kernel that it was measured on; those against the kernel's helper are not.
func TestMemoryTargetWhereEmulated(t *testing.T) {
	b := newBoard()
	b.add(memoryAt(targetIdle), ftpvipKey, 31)
	for _, emulated := range []bool{false, true} {
		found := false
		for _, target := range judge(b, emulated) {
			found = found || target.Limit == 40 && target.Outcome == met
		}
		if !found {
			t.Errorf("emulated %v: memory is not judged", emulated)
		}
	}
}

func TestShort(t *testing.T) {
	o, err := parse([]string{"-short", "-rounds", "7", "-only", "PASV on 1$"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 7 || o.span != shortSpan {
		t.Errorf("%d rounds of %v, want 7 as given, of %v", o.rounds, o.span, shortSpan)
	}
	if !o.wants("PASV on 1") || o.wants("PASV on 16") {
		t.Error("-only does not choose")
	}
	if _, err := parse([]string{"-only", "("}, t.Output()); err == nil {
		t.Error("a wrong regexp is taken")
	}
}
