package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/script"
)

// TestOddDialogues has dialogues that are allowed and seldom: in the usual ones every line is a segment. All dialogues
// of an arm go on at the same time, and in each files are moved and compared.
func TestOddDialogues(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			s.playAll(t, append(oddGreetings(), append(oddReplies(), oddSessions()...)...))
			s.noWrongPort(t)
		})
	}
}

// greets is a server with a greeting of its own.
func greets(steps ...script.Step) script.Server {
	return script.Server{On: map[string][]script.Step{script.Greeting: steps}}
}

func oddGreetings() []dialogue {
	const greeting = "220 hello, this is a server\r\n"
	list := []dialogue{
		{name: "greeting in two segments", server: greets(script.SayCut(greeting, script.After(half, "220 hel")))},
		{name: "greeting in two segments, cut in the number", server: greets(script.SayCut(greeting, script.After(half, "22")))},
		{name: "greeting cut before LF", server: greets(script.SayCut(greeting, script.At(half, -1)))},
		{name: "120, then 220", server: greets(script.Say("120 wait\r\n"), script.Pause(half), script.Say(greeting)),
			talk: func(ctx context.Context, a *actor) error {
				if _, err := a.client.Want(ctx, "120"); err != nil {
					return err
				}
				return usual(ctx, a)
			}},
		{name: "120 and 220 in one segment", server: greets(script.Say("120 wait\r\n" + greeting)),
			talk: func(ctx context.Context, a *actor) error {
				if _, err := a.client.Want(ctx, "120"); err != nil {
					return err
				}
				return usual(ctx, a)
			}},
		{name: "230 greeting", server: greets(script.Say("230 you are in\r\n")), talk: logged230},
		{name: "230 greeting byte by byte", server: greets(script.SayCut("230 you are in\r\n", script.EachByte(0))), talk: logged230},
		{name: "greeting of several lines", server: greets(script.Say(
			"220-hello\r\n227 Entering Passive Mode (1,2,3,4,5,6)\r\n 220 not yet\r\n220 now\r\n"))},
		{name: "greeting of several lines, a segment each", server: greets(script.SayCut(
			"220-hello\r\n220-and again\r\n220 now\r\n", script.After(half, "hello\r\n", "again\r\n")))},
	}
	for _, pause := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
		list = append(list, dialogue{name: fmt.Sprintf("greeting byte by byte, %v apart", pause),
			server: greets(script.SayCut("220 hello\r\n", script.EachByte(pause)))})
	}
	return list
}

// logged230 is usual where the greeting is a login.
func logged230(ctx context.Context, a *actor) error {
	if _, err := a.client.Want(ctx, "230"); err != nil {
		return err
	}
	return a.goesOn(ctx)
}

// half is a pause that is longer than any that TCP makes by itself on a good line.
const half = 500 * time.Millisecond

func oddReplies() []dialogue {
	var list []dialogue
	add := func(name string, family configs.Family, verb string, c script.Cut) {
		list = append(list, dialogue{name: name, family: family, server: script.Server{Cuts: map[string]script.Cut{verb: c}}})
	}
	for _, part := range []string{"2", "227", "227 ", "227 Entering", "(", "(10,", ".", "\r"} {
		add(fmt.Sprintf("227 cut after %q", part), configs.IPv4, "PASV", script.After(half, part))
	}
	for position := -9; position < 0; position++ {
		add(fmt.Sprintf("227 cut at %d", position), configs.IPv4, "PASV", script.At(half, position))
	}
	for _, part := range []string{"2", "229", "229 ", "Mode", "(", "(|||", "(|||1", "|)", "\r"} {
		add(fmt.Sprintf("229 cut after %q", part), configs.IPv6, "EPSV", script.After(half, part))
	}
	for _, pause := range []time.Duration{0, 50 * time.Millisecond} {
		add(fmt.Sprintf("227 byte by byte, %v apart", pause), configs.IPv4, "PASV", script.EachByte(pause))
		add(fmt.Sprintf("229 byte by byte, %v apart", pause), configs.IPv6, "EPSV", script.EachByte(pause))
	}
	add("227 byte by byte under Nagle", configs.IPv4, "PASV", nagle(script.EachByte(20*time.Millisecond)))
	// Whatever answers the wrong command: the client is told something at once, and goes on.
	for name, steps := range map[string][]script.Step{
		"229 to PASV":            {script.Listen(), script.Say("229 Entering Extended Passive Mode (|||{229}|)\r\n")},
		"229 to PASV, in pieces": {script.Listen(), script.SayCut("229 Entering Extended Passive Mode (|||{229}|)\r\n", script.EachByte(0))},
		"227 without an address": {script.Say("227 Entering Passive Mode\r\n")},
		"two replies to PASV":    {script.Listen(), script.Say("500 no\r\n227 Entering Passive Mode ({227}).\r\n")},
	} {
		list = append(list, dialogue{name: name, server: script.Server{On: map[string][]script.Step{"PASV": steps}}, talk: wrongReply})
	}
	return list
}

func nagle(c script.Cut) script.Cut {
	c.Nagle = true
	return c
}

// wrongReply takes whatever comes, and then does without PASV.
func wrongReply(ctx context.Context, a *actor) error {
	if err := a.client.Login(ctx); err != nil {
		return err
	}
	if err := a.client.Send(ctx, "PASV"); err != nil {
		return err
	}
	if _, err := a.client.Reply(ctx); err != nil {
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
	for _, mode := range []client.Mode{client.EPSV, client.PORT} {
		if err := a.client.Fetch(ctx, mode, a.content); err != nil {
			return err
		}
	}
	return a.client.Commands(ctx, "NOOP", "200", "QUIT", "221")
}

func oddSessions() []dialogue {
	var list []dialogue
	for _, family := range configs.Families {
		bytewise := script.EachByte(0)
		list = append(list, dialogue{name: fmt.Sprintf("a whole session of one-byte segments, IPv%d", family), family: family,
			server: script.Server{Default: bytewise}, all: bytewise})
		slow := script.EachByte(20 * time.Millisecond)
		list = append(list, dialogue{name: fmt.Sprintf("a whole session typed by hand, IPv%d", family), family: family,
			server: script.Server{Default: slow}, all: slow})
		list = append(list, dialogue{name: fmt.Sprintf("a whole session byte by byte under Nagle, IPv%d", family), family: family,
			server: script.Server{Default: nagle(slow)}, all: nagle(slow)})
	}
	for _, part := range []string{"N", "PORT 198,5", "PORT 198,51,100,11,200,2", "RETR fi"} {
		begun := make(chan struct{})
		list = append(list, dialogue{
			name: fmt.Sprintf("421 after %q", part),
			server: script.Server{On: map[string][]script.Step{
				"PASS": {script.Say("230 welcome\r\n"), script.Wait(begun), script.Pause(half), script.Say("421 timeout\r\n"), script.HangUp()},
			}},
			talk: func(ctx context.Context, a *actor) error {
				if err := a.client.Login(ctx); err != nil {
					return err
				}
				if err := a.client.Say(ctx, part, script.Cut{}); err != nil {
					return err
				}
				close(begun)
				if _, err := a.client.Want(ctx, "421"); err != nil {
					return err
				}
				_, err := a.client.AwaitEnd(ctx)
				return err
			},
		})
	}
	list = append(list, dialogue{name: "QUIT and half close in one", talk: func(ctx context.Context, a *actor) error {
		if err := a.client.Login(ctx); err != nil {
			return err
		}
		if err := a.client.Send(ctx, "QUIT"); err != nil {
			return err
		}
		if err := a.client.CloseWrite(); err != nil {
			return err
		}
		_, err := a.client.Want(ctx, "221")
		return err
	}})
	return list
}
