package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
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
		{"time is over", t.Context(), time.Millisecond, counts(3), []int{3}, 3, errStillRunning},
		{"interrupted", cancelled, 0, counts(3), []int{3}, 3, context.Canceled},
		{"conntrack fails", t.Context(), 0, func() (int, error) { return 0, broken }, nil, 0, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var shown []int
			left, err := waitIdle(tt.ctx, tt.timeout, tt.count, func(n int) error { shown = append(shown, n); return nil })
			if !errors.Is(err, tt.err) || left != tt.left || !slices.Equal(shown, tt.shown) {
				t.Errorf("%d left, %v, shown %v", left, err, shown)
			}
		})
	}
}

func TestProgressLines(t *testing.T) {
	var b strings.Builder
	show := progress(&b, configs.Ref{Pool: "farm", Backend: "a"}, false)
	for _, n := range []int{2, 0} {
		if err := show(n); err != nil {
			t.Fatal(err)
		}
	}
	if want := "farm/a: 2 sessions left\nfarm/a: 0 sessions left\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	if err := progress(&b, configs.Ref{}, true)(5); err != nil || b.Len() > 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestParseWeight(t *testing.T) {
	for word, want := range map[string]int{"default": 0, "1": 1, "100": 100} {
		if got, err := parseWeight(word); err != nil || got != want {
			t.Errorf("%q: %d, %v", word, got, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "+1", "01", "1.5", "101", "0x10", "Default"} {
		if got, err := parseWeight(bad); err == nil {
			t.Errorf("%q is accepted as %d", bad, got)
		}
	}
}
