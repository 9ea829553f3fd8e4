package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/raw"
	"ftpvip/tests/lab/script"
)

// TestBounceProtectionCannotBeSwitchedOff has clients that want the server to connect to somebody else. They speak
// before the greeting, so that nobody knows where a line starts, and cut each verb; or leave gaps. The server reads no
// such PORT, and that there was something is counted.
func TestBounceProtectionCannotBeSwitchedOff(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			must(t, raw.Silence(t.Context(), s.Client))
			before := s.noticed(t)
			list := earlyBirds()
			s.playAll(t, list)
			if n := s.noticed(t) - before; n < uint64(len(list)) {
				t.Errorf("%d attacks left %d traces", len(list), n)
			}
			attacks := gapAttacks()
			inParallel(t, len(attacks), func(i int) (string, error) {
				return attacks[i].name, s.segments(configs.IPv4, attacks[i].say)
			})
			s.noBounce(t)
			if arm.arm == lab.TwoArm {
				s.unprotected(t, attacks)
			}
		})
	}
}

// unprotected checks that attacks succeed where nobody is on the way.
func (s *stage) unprotected(t *testing.T, attacks []gapAttack) {
	t.Run("early, unprotected", func(t *testing.T) {
		c, session, backend, err := s.meet(s.direct(configs.IPv4), script.Server{})
		must(t, err)
		defer c.Close()
		defer session.Close()
		a := &actor{stage: s, client: c, server: session, backend: backend}
		s.bounced(t, session, errors.Join(c.Say(t.Context(), "x", script.Cut{}), bounce(t.Context(), a, 0)))
	})
	for _, a := range attacks[:4] {
		t.Run(a.name+", unprotected", func(t *testing.T) {
			session, err := s.segmentsAt(s.direct(configs.IPv4), a.say)
			s.bounced(t, session, err)
		})
	}
}

// noBounce checks that no expectation leads to the victim.
func (s *stage) noBounce(t *testing.T) {
	t.Helper()
	for _, e := range s.expectations(t) {
		if strings.HasPrefix(e.to.Addr().String(), "10.2.1.") {
			t.Errorf("there was an expectation for %s", e.to)
		}
	}
}

// earlyBirds say something before the greeting, and then cut each verb.
func earlyBirds() []dialogue {
	var list []dialogue
	for _, early := range []string{
		"x", "U", "\n", "\r", "\r\n", " ", "\x00", "\x16", "\x16\x03", "\x16\x03\r\n", "\x16\x03\x01\x00\x05hello", "\xff\xf4", "NOOP\r\n", "PO",
	} {
		for _, pause := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
			begun := make(chan struct{})
			said := early
			list = append(list, dialogue{
				name:   fmt.Sprintf("%q before the greeting, pieces %v apart", said, pause),
				server: greets(script.Wait(begun), script.Pause(pause), script.Say("220 hello\r\n")),
				talk: func(ctx context.Context, a *actor) error {
					if err := a.client.Say(ctx, said, script.Cut{}); err != nil {
						return err
					}
					close(begun)
					if _, err := a.client.Want(ctx, "220"); err != nil {
						return err
					}
					return bounce(ctx, a, pause)
				},
			})
		}
	}
	return list
}

// bounce says each verb in two pieces, and a PORT for somebody else in several forms; the session may end.
func bounce(ctx context.Context, a *actor, pause time.Duration) error {
	for _, line := range []string{
		"USER anonymous\r\n", "PASS x\r\n", "PORT " + victim + "\r\n", "EPRT |1|10.2.1.12|2222|\r\n", "LPRT 4,4,10,2,1,12,2,8,174\r\n",
	} {
		for _, cut := range []int{2, 4} {
			if err := a.client.Say(ctx, line, script.At(pause, cut)); err != nil {
				return nil //nolint:nilerr // a session that was ended is safe
			}
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	}
	if err := a.client.Say(ctx, "\r\nNOOP\r\n", script.Cut{}); err != nil {
		return nil //nolint:nilerr // as above
	}
	if err := reads(ctx, a.server, "NOOP\r\n"); err != nil && !errors.Is(err, script.ErrEnded) {
		return err
	}
	return nil
}

// gapAttack is something that is said in single segments after a log-in, from a position of the stream on.
type gapAttack struct {
	name string
	say  func(c *raw.Conn, at int) error
}

// gapAttacks leave a gap in the stream, insist on what is beyond it, and then fill the gap with more.
func gapAttacks() []gapAttack {
	const hostile = "PORT " + victim + "\r\n"
	rest := strings.Repeat("NOOP\r\n", 20)
	whole := hostile + rest
	filler := strings.Repeat("z", len(whole))
	var list []gapAttack
	for _, first := range []int{0, 2, 4} {
		for _, beyond := range []int{first + 1, len(hostile) - 1, len(hostile), len(hostile) + 6} {
			for _, from := range slices.Compact([]int{0, first}) {
				for _, with := range []string{"the same bytes", "other bytes"} {
					text := whole
					if with == "other bytes" {
						text = filler
					}
					list = append(list, gapAttack{
						name: fmt.Sprintf("%d bytes, a gap up to %d, filled from %d, beyond it %s", first, beyond, from, with),
						say: func(c *raw.Conn, at int) error {
							if first > 0 {
								if err := c.Say(at, whole[:first]); err != nil {
									return err
								}
							}
							time.Sleep(250 * time.Millisecond)
							for range 4 {
								if err := c.Say(at+beyond, text[beyond:beyond+6]); err != nil {
									return err
								}
								time.Sleep(200 * time.Millisecond)
							}
							for range 2 {
								if err := c.Say(at+from, whole[from:max(beyond, len(hostile))+6]); err != nil {
									return err
								}
								time.Sleep(200 * time.Millisecond)
							}
							if with == "other bytes" {
								return errEnough
							}
							// As TCP would: everything again, from what was acknowledged.
							acked := max(c.Acked()-at, 0)
							if acked >= len(whole) {
								return nil
							}
							return c.Deliver(at+acked, whole[acked:])
						},
					})
				}
			}
		}
	}
	return list
}
