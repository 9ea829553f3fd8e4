package operate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// counts makes a count that yields numbers in turn, the last one for ever.
func counts(numbers ...int) func() (int, error) {
	return func() (int, error) {
		n := numbers[0]
		if len(numbers) > 1 {
			numbers = numbers[1:]
		}
		return n, nil
	}
}

func TestWaitIdle(t *testing.T) {
	broken := errors.New("broken")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		timeout time.Duration
		count   func() (int, error)
		shown   []int
		left    int
		err     error
	}{
		{"none", t.Context(), 0, counts(0), []int{0}, 0, nil},
		{"one that was being opened", t.Context(), 0, counts(0, 1, 1, 0), []int{0, 1, 0}, 0, nil},
		{"time is over", t.Context(), time.Millisecond, counts(3), []int{3}, 3, ErrStillRunning},
		{"interrupted", cancelled, 0, counts(3), []int{3}, 3, context.Canceled},
		{"conntrack fails", t.Context(), 0, func() (int, error) { return 0, broken }, nil, 0, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var shown []int
			left, err := (&Operator{Clock: &fakeClock{waits: map[chan time.Time]time.Time{}}}).waitIdle(tt.ctx, tt.timeout, tt.count, func(n int) error { shown = append(shown, n); return nil })
			if !errors.Is(err, tt.err) || left != tt.left || !slices.Equal(shown, tt.shown) {
				t.Errorf("%d left, %v, shown %v", left, err, shown)
			}
		})
	}
}
