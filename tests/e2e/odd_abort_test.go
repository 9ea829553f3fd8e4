package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/script"
)

// Ways in which clients say ABOR.
var abortForms = []struct {
	name   string
	inline bool // servers that understand the client keep urgent data in the stream
	say    func(context.Context, *script.Client) error
}{
	{"plain", false, func(ctx context.Context, c *script.Client) error { return c.Send(ctx, "ABOR") }},
	{"byte by byte", false, func(ctx context.Context, c *script.Client) error {
		return c.Say(ctx, "ABOR\r\n", script.EachByte(20*time.Millisecond))
	}},
	{"Telnet bytes in line", true, func(ctx context.Context, c *script.Client) error {
		return c.Say(ctx, "\xff\xf4\xff\xf2ABOR\r\n", script.Cut{})
	}},
	{"as lftp, server inline", true, lftpAbort},
	{"as lftp, server not inline", false, lftpAbort},
	{"as Python's ftplib", true, func(_ context.Context, c *script.Client) error { return c.Urgent("ABOR\r\n") }},
}

// abortSize is more than the buffers on the way of a transfer can hold that is given up.
const abortSize, abortBuffer = 4 << 20, 16 << 10

// lftpAbort sends Telnet's IP and Synch before the command; the first byte of them is urgent.
func lftpAbort(ctx context.Context, c *script.Client) error {
	return errors.Join(
		c.Urgent("\xff"), c.Say(ctx, "\xf4\xff\xf2", script.Cut{}), c.Say(ctx, "ABOR\r\n", script.Cut{}))
}

// TestAbort has clients say ABOR at each moment, in each form. The server reads it each time, and the session goes on.
func TestAbort(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: string(arm.arm), arm: arm.arm, snat: arm.snat})
			var list []dialogue
			for _, form := range abortForms {
				server := script.Server{Inline: form.inline}
				abort := func(ctx context.Context, a *actor, replies ...string) error {
					if err := form.say(ctx, a.client); err != nil {
						return err
					}
					for _, code := range replies {
						if _, err := a.client.Want(ctx, code); err != nil {
							return fmt.Errorf("ABOR: %w", err)
						}
					}
					return nil
				}
				for moment, talk := range abortMoments(abort) {
					d := dialogue{name: form.name + ", " + moment, server: server, talk: talk}
					if strings.HasPrefix(moment, "during") {
						d.server.Content = large()[:abortSize]
					}
					list = append(list, d)
				}
			}
			s.playAll(t, list)
		})
	}
}

type abort func(ctx context.Context, a *actor, replies ...string) error

// abortMoments are dialogues in which the client gives up at some moment.
func abortMoments(abort abort) map[string]func(context.Context, *actor) error {
	during := func(mode client.Mode) func(context.Context, *actor) error {
		return func(ctx context.Context, a *actor) error { return abortDuring(ctx, a, mode, abort) }
	}
	return map[string]func(context.Context, *actor) error{
		"before anything": func(ctx context.Context, a *actor) error {
			return inOrder(ctx, a.client.Login, does(a, abort, "226"), a.goesOn)
		},
		"after PASV": func(ctx context.Context, a *actor) error {
			agree := func(ctx context.Context) error { _, err := a.client.Agree(ctx, client.PASV); return err }
			return inOrder(ctx, a.client.Login, agree, does(a, abort, "226"), a.goesOn)
		},
		"after PORT": func(ctx context.Context, a *actor) error {
			agree := func(ctx context.Context) error { _, err := a.client.Agree(ctx, client.PORT); return err }
			return inOrder(ctx, a.client.Login, agree, does(a, abort, "226"), a.goesOn)
		},
		"before the data connection": func(ctx context.Context, a *actor) error {
			retrieve := func(ctx context.Context) error {
				if _, err := a.client.Agree(ctx, client.PASV); err != nil {
					return err
				}
				_, err := a.client.Command(ctx, "RETR file", "150")
				return err
			}
			return inOrder(ctx, a.client.Login, retrieve, does(a, abort, "425", "226"), a.goesOn)
		},
		"during a passive transfer": during(client.PASV),
		"during an active transfer": during(client.PORT),
		"after a transfer": func(ctx context.Context, a *actor) error {
			fetch := func(ctx context.Context) error { return a.client.Fetch(ctx, client.PASV, a.content) }
			return inOrder(ctx, a.client.Login, fetch, does(a, abort, "226"), a.goesOn)
		},
		"twice": func(ctx context.Context, a *actor) error {
			return inOrder(ctx, a.client.Login, does(a, abort, "226"), does(a, abort, "226"), a.goesOn)
		},
	}
}

func does(a *actor, abort abort, replies ...string) func(context.Context) error {
	return func(ctx context.Context) error { return abort(ctx, a, replies...) }
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// abortDuring gives up a transfer of which not all is read. Afterwards the session is good, though not for another
// file of that size.
func abortDuring(ctx context.Context, a *actor, mode client.Mode, abort abort) error {
	if err := a.client.Login(ctx); err != nil {
		return err
	}
	open, err := a.client.Agree(ctx, mode)
	if err != nil {
		return err
	}
	if _, err := a.client.Command(ctx, "RETR file", "150"); err != nil {
		return err
	}
	data, err := open()
	if err != nil {
		return err
	}
	defer data.Close()
	first := make([]byte, 1000)
	if err := errors.Join(data.(*net.TCPConn).SetReadBuffer(abortBuffer), data.SetDeadline(time.Now().Add(script.Patience))); err != nil {
		return err
	}
	if _, err := io.ReadFull(data, first); err != nil {
		return err
	}
	if err := same(first, a.content[:len(first)]); err != nil {
		return err
	}
	if err := abort(ctx, a, "426", "226"); err != nil {
		return err
	}
	// What was on its way still comes; then the data connection has ended.
	if n, err := io.Copy(io.Discard, data); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		return fmt.Errorf("the data connection after ABOR, and %d bytes: %w", n, err)
	} else if n+int64(len(first)) >= int64(len(a.content)) {
		return errors.New("the whole file came in spite of ABOR")
	}
	return a.client.Commands(ctx, "NOOP", "200", "QUIT", "221")
}
