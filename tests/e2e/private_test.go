package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/script"
)

// TestPrivateAddressNeverSeen has servers name their own address on sessions whose start was not like any other, in
// pieces and unasked. No client reads the address, and where it asked the transfer works.
func TestPrivateAddressNeverSeen(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			s.playAll(t, append(notFresh(), unasked()...))
			restart := newGate()
			later := afterRestart(restart.opened)
			for i := range later {
				talk := later[i].talk
				later[i].talk = func(ctx context.Context, a *actor) error {
					return inOrder(ctx, a.client.Login, restart.arrive, func(ctx context.Context) error { return talk(ctx, a) })
				}
			}
			restart.open(len(later), s.restartHelper)
			s.playAll(t, later)
			s.noWrongPort(t)
		})
	}
}

// inPieces are the ways in which the replies to PASV come.
var inPieces = map[string]script.Cut{
	"whole":                         {},
	"in two":                        script.After(half, "227 "),
	"in two, cut after the text":    script.After(half, "Mode ("),
	"in two, cut in the address":    script.After(half, "(10,2"),
	"in two, cut after the address": script.After(half, "(10,2,0,11"),
	"in two, cut before LF":         script.At(half, -1),
	"byte by byte":                  script.EachByte(0),
	"byte by byte, 50ms apart":      script.EachByte(50 * time.Millisecond),
}

// notFresh are sessions whose greeting does not look like one to a reader of first segments.
func notFresh() []dialogue {
	var list []dialogue
	for reply, cut := range inPieces {
		for name, d := range map[string]dialogue{
			"greeting byte by byte": {server: greets(script.SayCut("220 hello\r\n", script.EachByte(0)))},
			"greeting in two":       {server: greets(script.SayCut("220 hello\r\n", script.At(half, 2)))},
			"greeting 230":          {server: greets(script.Say("230 you are in\r\n")), talk: logged230},
			"greeting 120": {server: greets(script.Say("120 soon\r\n"), script.Pause(half), script.Say("220 hello\r\n")),
				talk: func(ctx context.Context, a *actor) error {
					if _, err := a.client.Want(ctx, "120"); err != nil {
						return err
					}
					return usual(ctx, a)
				}},
		} {
			d.name = name + ", 227 " + reply
			d.server.Cuts = map[string]script.Cut{"PASV": cut}
			list = append(list, d)
		}
	}
	return list
}

// unasked are replies that name an address though nothing asked for it.
func unasked() []dialogue {
	forged := func(verb string, c script.Cut, text string) dialogue {
		return dialogue{
			name: fmt.Sprintf("%q answers %s", text, verb),
			server: script.Server{On: map[string][]script.Step{
				"TYPE": {script.Listen(), script.SayCut(text, c), script.Say("200 ok\r\n")},
			}},
			talk: func(ctx context.Context, a *actor) error {
				if err := a.client.Login(ctx); err != nil {
					return err
				}
				if err := a.client.Send(ctx, "TYPE I"); err != nil {
					return err
				}
				for reply := ""; !strings.HasPrefix(reply, "200"); {
					var err error
					if reply, err = a.client.Reply(ctx); err != nil {
						return fmt.Errorf("TYPE: %w", err)
					}
				}
				return a.goesOn(ctx)
			},
		}
	}
	const reply = "227 Entering Passive Mode ({227}).\r\n"
	var list []dialogue
	for name, cut := range inPieces {
		d := forged("TYPE", cut, reply)
		d.name = "unasked 227 " + name
		list = append(list, d)
	}
	return list
}

// afterRestart are sessions that another helper has seen until the channel is closed.
func afterRestart(restart <-chan struct{}) []dialogue {
	var list []dialogue
	for name, cut := range inPieces {
		d := dialogue{
			name:   "helper restarted, 227 " + name,
			server: script.Server{Cuts: map[string]script.Cut{"PASV": cut}},
			talk: func(ctx context.Context, a *actor) error {
				return inOrder(ctx, opened(restart), a.firstMayFail(cut), a.goesOn)
			},
		}
		list = append(list, d)
		d.name = "helper restarted while PASV is answered, 227 " + name
		d.server.On = map[string][]script.Step{"PASV": {
			script.Listen(), script.Wait(restart), script.Say("227 Entering Passive Mode ({227}).\r\n"),
		}}
		d.talk = func(ctx context.Context, a *actor) error { return inOrder(ctx, a.firstMayFail(cut), a.goesOn) }
		list = append(list, d)
		d.name = "helper restarted, unasked 227 " + name
		d.server.On = map[string][]script.Step{"NOOP": {
			script.Listen(), script.SayCut("227 Entering Passive Mode ({227}).\r\n", cut), script.Say("200 ok\r\n"),
		}}
		d.talk = func(ctx context.Context, a *actor) error {
			if err := opened(restart)(ctx); err != nil {
				return err
			}
			if err := a.client.Send(ctx, "NOOP"); err != nil {
				return err
			}
			for reply := ""; !strings.HasPrefix(reply, "200"); {
				var err error
				if reply, err = a.client.Reply(ctx); err != nil {
					return fmt.Errorf("NOOP: %w", err)
				}
			}
			return a.client.Fetch(ctx, client.PORT, a.content)
		}
		list = append(list, d)
	}
	return list
}

func opened(gate <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error { return wait(ctx, gate) }
}

// firstMayFail asks for a data connection where the server's first byte comes alone to a helper that has seen nothing
// before: that helper cannot know that a reply starts there, and hides the address. The client is told at once.
func (a *actor) firstMayFail(c script.Cut) func(context.Context) error {
	return func(ctx context.Context) error {
		if c.Pause == 0 || c.At == nil || !slices.Contains(c.At("227"), 1) {
			return nil
		}
		_, err := a.client.Command(ctx, "PASV", "2")
		return err
	}
}
