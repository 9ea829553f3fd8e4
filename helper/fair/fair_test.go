package fair

import (
	"net/netip"
	"testing"
	"time"
)

var (
	alice = netip.MustParseAddr("198.51.100.1")
	bob   = netip.MustParseAddr("198.51.100.2")
	carol = netip.MustParseAddr("2001:db8:1:2::1")
	dave  = netip.MustParseAddr("2001:db8:1:2::ffff") // of the same /64
)

// busy has a client keep the reader busy for a part of the time from start on, with packets of 50 us.
func (s *Shares) busy(start, span time.Duration, part float64, client netip.Addr) (end time.Duration) {
	const took = 50 * time.Microsecond
	for end = start; end < start+span; end += time.Duration(float64(took) / part) {
		s.Charge(end, client, took)
	}
	return end
}

func TestOver(t *testing.T) {
	for name, tt := range map[string]struct {
		play func(s *Shares) (now time.Duration)
		who  netip.Addr
		want bool
	}{
		"nothing happened": {func(*Shares) time.Duration { return time.Second }, alice, false},
		"alone at full speed": {func(s *Shares) time.Duration {
			return s.busy(time.Second, time.Second, 1, alice)
		}, alice, false},
		"with another": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 1, alice)
		}, alice, true},
		"the other": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 1, alice)
		}, bob, false},
		"a stranger": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 1, alice)
		}, carol, false},
		"the other is long gone": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, remember+time.Second, 1, alice)
		}, alice, false},
		"the reader has time": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 0.65, alice)
		}, alice, false},
		"a short burst": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, 8*time.Millisecond, 1, alice)
		}, alice, false},
		"afterwards": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 1, alice) + time.Second
		}, alice, false},
		"another host of the same /64": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			return s.busy(time.Second, time.Second, 1, carol)
		}, dave, true},
		"one packet for which the reader waited for a processor": {func(s *Shares) time.Duration {
			s.Charge(time.Second, bob, time.Microsecond)
			s.Charge(time.Second, alice, time.Minute)
			s.busy(time.Second, 100*time.Millisecond, 1, bob)
			return time.Second + 100*time.Millisecond
		}, alice, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := New()
			if over, _ := s.Over(tt.play(s), tt.who); over != tt.want {
				t.Errorf("%v is over: %v, want %v", tt.who, over, tt.want)
			}
		})
	}
}

// While a client is held back, it has its share still.
func TestHeldClientHasItsShare(t *testing.T) {
	const took = 50 * time.Microsecond
	s := New()
	s.Charge(time.Second, bob, took)
	now := s.busy(time.Second, time.Second, 1, alice)
	start, dropped, used := now, 0, time.Duration(0)
	for end := now + 4*time.Second; now < end; now += took {
		if over, _ := s.Over(now, alice); over {
			dropped++
			continue
		}
		s.Charge(now, alice, took)
		used += took
	}
	got := used.Seconds() / (now - start).Seconds()
	if want := float64(share(2)) / whole; got < want-0.05 || got > want+0.05 {
		t.Errorf("it had %.2f of the reader's time, want %.2f (%d packets were dropped)", got, want, dropped)
	}
}

func TestWarnsOnceAMinute(t *testing.T) {
	s := New()
	warned := 0
	for now := time.Second; now < 3*time.Minute; now += 50 * time.Microsecond {
		if now%time.Second == 0 {
			s.Charge(now, bob, time.Microsecond)
		}
		s.Charge(now, alice, 50*time.Microsecond)
		if _, warn := s.Over(now, alice); warn {
			warned++
		}
	}
	if warned != 3 {
		t.Errorf("%d warnings in three minutes, want 3", warned)
	}
}

func BenchmarkCharge(b *testing.B) {
	s := New()
	b.ReportAllocs()
	for now := time.Duration(0); b.Loop(); now += 20 * time.Microsecond {
		s.Over(now, alice)
		s.Charge(now, alice, 5*time.Microsecond)
	}
}

func BenchmarkSaturated(b *testing.B) {
	s := New()
	b.ReportAllocs()
	for now := time.Duration(0); b.Loop(); now += 5 * time.Microsecond {
		s.Over(now, carol)
		s.Charge(now, carol, 5*time.Microsecond)
	}
}
