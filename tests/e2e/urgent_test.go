package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/packet"
	"ftpvip/tests/lab/raw"
	"ftpvip/tests/lab/script"
)

// victim is a host that no client may name.
const victim = "10,2,1,12,8,174"

// wordy is a command that is a PORT for servers that take urgent data out of the stream, and nothing for others.
const wordy = "POxRT " + victim + "\r\n"

// TestUrgentData hides a PORT for somebody else behind a byte that the server's TCP takes out of the stream (RFC 6093).
// The server never reads it, and what follows is read.
func TestUrgentData(t *testing.T) {
	s := newStage(t, arrangement{})
	must(t, raw.Silence(t.Context(), s.Client))
	var list []dialogue
	for _, family := range configs.Families {
		for name, say := range urgentBySocket {
			list = append(list, dialogue{name: fmt.Sprintf("%s, IPv%d", name, family), family: family, talk: func(ctx context.Context, a *actor) error {
				return urgently(ctx, a.client, a.server, say)
			}})
		}
	}
	s.playAll(t, list)
	for _, family := range configs.Families {
		for name, say := range urgentBySegment {
			t.Run(fmt.Sprintf("%s, IPv%d", name, family), func(t *testing.T) {
				if err := s.segments(family, say); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for name, say := range urgentBySocket {
		t.Run(name+", unprotected", func(t *testing.T) {
			c, session, _, err := s.meet(s.direct(configs.IPv4), script.Server{})
			must(t, err)
			defer c.Close()
			defer session.Close()
			s.bounced(t, session, urgently(t.Context(), c, session, say))
		})
	}
	for name, say := range urgentBySegment {
		t.Run(name+", unprotected", func(t *testing.T) {
			session, err := s.segmentsAt(s.direct(configs.IPv4), say)
			s.bounced(t, session, err)
		})
	}
}

// urgently logs in, says something, and waits until the server has read what follows.
func urgently(
	ctx context.Context, c *script.Client, session *script.Session, say func(context.Context, *script.Client) error,
) error {
	return inOrder(ctx, c.Login,
		func(ctx context.Context) error { return say(ctx, c) },
		func(ctx context.Context) error { return c.Send(ctx, "NOOP") },
		func(ctx context.Context) error { return reads(ctx, session, "NOOP\r\n") })
}

// urgentBySocket are ways that need no more than a socket.
var urgentBySocket = map[string]func(context.Context, *script.Client) error{
	"the byte by itself": func(ctx context.Context, c *script.Client) error {
		return errors.Join(c.Say(ctx, "PO", script.Cut{}), c.Urgent("x"), c.Say(ctx, wordy[3:], script.Cut{}))
	},
	"the byte ends a segment": func(ctx context.Context, c *script.Client) error {
		return errors.Join(c.Urgent("POx"), c.Say(ctx, wordy[3:], script.Cut{}))
	},
	"slowly": func(ctx context.Context, c *script.Client) error {
		pause := func() error { time.Sleep(half); return nil }
		return errors.Join(c.Say(ctx, "PO", script.Cut{}), pause(), c.Urgent("x"), pause(), c.Say(ctx, wordy[3:], script.Cut{}))
	},
	"in the client's own address": func(ctx context.Context, c *script.Client) error { // without a digit it is another's
		return errors.Join(c.Urgent("PORT 198,51,100,11"), c.Say(ctx, ",200,10\r\n", script.Cut{}))
	},
	"the first byte": func(ctx context.Context, c *script.Client) error {
		return errors.Join(c.Urgent("x"), c.Say(ctx, "PORT "+victim+"\r\n", script.Cut{}))
	},
}

// urgentBySegment are ways that need segments of one's own. The stream's next byte is at a position.
var urgentBySegment = map[string]func(c *raw.Conn, at int) error{
	"on an ACK ahead": func(c *raw.Conn, at int) error {
		return errors.Join(c.Send(announce(c, at, 3)), c.Deliver(at, wordy))
	},
	"on an ACK ahead, then in pieces": func(c *raw.Conn, at int) error {
		return errors.Join(c.Send(announce(c, at, 3)), c.Say(at, "PO"), c.Say(at+2, "x"), c.Say(at+3, wordy[3:]), c.Deliver(at, wordy))
	},
	"on an ACK with a byte from before": func(c *raw.Conn, at int) error {
		s := announce(c, at-1, 4)
		s.Payload = []byte("\n")
		return errors.Join(c.Send(s), c.Deliver(at, wordy))
	},
	"on an ACK far ahead of the line": func(c *raw.Conn, at int) error {
		return errors.Join(c.Send(announce(c, at, 6+3)), c.Deliver(at, "NOOP\r\n"), c.Deliver(at+6, wordy))
	},
	"on a segment beyond a gap": func(c *raw.Conn, at int) error {
		s := announce(c, at+6, 3)
		s.Payload = []byte(wordy)
		return errors.Join(c.Send(s), c.Say(at, "NOOP\r\n"), c.Deliver(at, "NOOP\r\n"+wordy))
	},
	"on the data, the byte in the next": func(c *raw.Conn, at int) error {
		s := announce(c, at, 3)
		s.Flags |= packet.PSH
		s.Payload = []byte("PO")
		return errors.Join(c.Send(s), c.Say(at+2, wordy[2:]), c.Deliver(at, wordy))
	},
}

// announce is an ACK that says that the byte before a distance is urgent (RFC 793's reading, which Linux has).
func announce(c *raw.Conn, at int, distance uint16) raw.Segment {
	return raw.Segment{Seq: c.Seq(at), Flags: packet.ACK | packet.URG, Urgent: distance}
}

// errEnough is returned by those who contradicted themselves, so that nothing need come of what they say later.
var errEnough = errors.New("no more is said")

// segments has a session of single segments, in which something is said after the log-in, and then NOOP. The session
// may be reset.
func (s *stage) segments(family configs.Family, say func(c *raw.Conn, at int) error) error {
	session, err := s.segmentsAt(s.vips[0].at(family), say)
	if session == nil {
		return err
	}
	if err := s.innocentLines(session.Lines()); err != nil {
		return err
	}
	if errors.Is(err, raw.ErrReset) || errors.Is(err, errEnough) {
		return nil // a reset is also an answer
	}
	if err != nil {
		err = fmt.Errorf("%w\nthe server read %q", err, session.Got())
	}
	return err
}

func (s *stage) segmentsAt(at netip.AddrPort, say func(c *raw.Conn, at int) error) (*script.Session, error) {
	var c *raw.Conn
	session, _, err := s.arrive(script.Server{}, func() (err error) {
		c, err = raw.Dial(s.Client, s.ClientAddrs[0].Of(configs.FamilyOf(at.Addr())), at)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer session.Close()
	const login = "USER x\r\n"
	if err := errors.Join(c.Await("220"), c.Deliver(0, login), c.Await("331")); err != nil {
		return session, err
	}
	if err := say(c, len(login)); err != nil {
		return session, err
	}
	if err := c.Deliver(c.Acked(), "NOOP\r\n"); err != nil {
		return session, err
	}
	return session, reads(s.ctx, session, "NOOP\r\n")
}

// bounced checks that an attack without us on the way makes the server read what it must not.
func (s *stage) bounced(t *testing.T, session *script.Session, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if s.innocentLines(session.Lines()) == nil {
		t.Errorf("this is no attack: the server reads %q", session.Lines())
	}
}
