package change

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errBroken = errors.New("broken")

// recorder makes steps that write down what they do.
type recorder struct{ log []string }

func (r *recorder) step(name string, do, undo error) Step {
	return Step{
		Name: name,
		Do:   func() error { r.log = append(r.log, "do "+name); return do },
		Undo: func() error { r.log = append(r.log, "undo "+name); return undo },
	}
}

func TestCarry(t *testing.T) {
	tests := []struct {
		name string
		fail [3]error // of the steps
		undo [3]error
		want []string
		err  string
	}{
		{"all well", [3]error{}, [3]error{}, []string{"do a", "do b", "do c"}, ""},
		{"the first fails", [3]error{errBroken}, [3]error{}, []string{"do a", "undo a"}, "a: broken (everything is as it was before)"},
		{
			"the last fails", [3]error{nil, nil, errBroken},
			[3]error{}, []string{"do a", "do b", "do c", "undo c", "undo b", "undo a"}, "c: broken (everything is as it was before)",
		},
		{
			"and cannot be undone", [3]error{nil, errBroken, nil}, [3]error{errors.New("stuck"), nil, nil},
			[]string{"do a", "do b", "undo b", "undo a"}, "b: broken; and what was done before could not be taken back: stuck",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{}
			var steps []Step
			for i, name := range []string{"a", "b", "c"} {
				steps = append(steps, r.step(name, tt.fail[i], tt.undo[i]))
			}
			err := Runner(Plain).Carry(steps...)
			if diff := cmp.Diff(tt.want, r.log); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || err.Error() != tt.err):
				t.Errorf("error %v, want %q", err, tt.err)
			case tt.err != "" && !errors.Is(err, errBroken):
				t.Errorf("%v does not wrap its cause", err)
			}
		})
	}
}

// A runner may fail a step without doing it; steps without Undo are left alone.
func TestRunner(t *testing.T) {
	r := &recorder{}
	b := r.step("b", nil, nil)
	b.Undo = nil
	runner := Runner(func(s Step) error {
		if s.Name == "c" {
			return errBroken
		}
		return s.Do()
	})
	err := runner.Carry(r.step("a", nil, nil), b, r.step("c", nil, nil))
	if !errors.Is(err, errBroken) || strings.Join(r.log, ", ") != "do a, do b, undo c, undo a" {
		t.Errorf("%v: %v", err, r.log)
	}
}
