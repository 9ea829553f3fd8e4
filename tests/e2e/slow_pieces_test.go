package e2e

import (
	"fmt"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/script"
)

// TestSlowPieces has announcements come in pieces, as from a lossy line, a small device, or a person with telnet. Every
// transfer works, and there is never an expectation for a port whose digits had not all come.
func TestSlowPieces(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			s.playAll(t, append(append(slowPORT(), slowEPRT()...), slowReplies()...))
			s.noWrongPort(t)
			if n := s.figures(t).Refusals["too_slow"]; n > 0 {
				t.Errorf("%d lines were refused as too slow", n)
			}
			if arm.arm == lab.TwoArm {
				s.eachOnce(t)
			}
		})
	}
}

// eachOnce checks that no announcement made more than one expectation.
func (s *stage) eachOnce(t *testing.T) {
	t.Helper()
	seen := map[made]bool{}
	for _, e := range s.expectations(t) {
		if seen[e] {
			t.Errorf("there was more than one expectation for %s", e.to)
		}
		seen[e] = true
	}
}

// long is the longest pause between the pieces of a line that has to work.
const long = 5 * time.Second

// slowPORT cuts PORT 198,51,100,11,nnn,nnn at each interesting place; negative ones count from CR LF's end.
func slowPORT() []dialogue {
	return slowCommand("PORT", configs.IPv4, []int{1, 2, 4, 5, 8, 18, 19, -7, -6, -5, -4, -3, -2, -1})
}

// slowEPRT does so with EPRT |1|198.51.100.11|nnnnn|.
func slowEPRT() []dialogue {
	places := []int{1, 4, 5, 7, -9, -8, -6, -4, -3, -2, -1}
	return slowCommand("EPRT", configs.IPv6, places)
}

func slowCommand(verb string, family configs.Family, places []int) []dialogue {
	var list []dialogue
	add := func(name string, c script.Cut) {
		list = append(list, dialogue{name: name, family: family, cuts: map[string]script.Cut{verb: c}})
	}
	for _, pause := range []time.Duration{half, long} {
		for _, place := range places {
			add(fmt.Sprintf("%s cut at %d, %v apart", verb, place, pause), script.At(pause, place))
		}
	}
	for _, pause := range []time.Duration{0, 20 * time.Millisecond, 300 * time.Millisecond} {
		add(fmt.Sprintf("%s byte by byte, %v apart", verb, pause), script.EachByte(pause))
		add(fmt.Sprintf("%s byte by byte under Nagle, %v apart", verb, pause), nagle(script.EachByte(pause)))
	}
	add(verb+" in two segments under Nagle", nagle(script.At(long, -4)))
	add(verb+" in three segments", script.Cut{Pause: half, At: func(text string) []int { return []int{2, len(text) - 4} }})
	return list
}

// slowReplies are replies whose second segment was lost, and comes after TCP's time, or much later.
func slowReplies() []dialogue {
	var list []dialogue
	add := func(name, verb string, family configs.Family, c script.Cut) {
		list = append(list, dialogue{name: name, family: family, server: script.Server{Cuts: map[string]script.Cut{verb: c}}})
	}
	for _, pause := range []time.Duration{half, long} {
		for _, place := range []int{1, 3, 10, 27, -9, -6, -5, -4, -3, -2, -1} {
			add(fmt.Sprintf("227 cut at %d, %v apart", place, pause), "PASV", configs.IPv4, script.At(pause, place))
		}
		for _, place := range []int{1, 3, 10, -9, -7, -5, -3, -2, -1} {
			add(fmt.Sprintf("229 cut at %d, %v apart", place, pause), "EPSV", configs.IPv6, script.At(pause, place))
		}
	}
	add("227 byte by byte, 300ms apart", "PASV", configs.IPv4, script.EachByte(300*time.Millisecond))
	add("229 byte by byte, 300ms apart", "EPSV", configs.IPv6, script.EachByte(300*time.Millisecond))
	return list
}
