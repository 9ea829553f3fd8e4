package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// ErrTold says that something failed, and that the client heard of it from the server.
var ErrTold = errors.New("the server says")

// Client is the client's end of a control connection.
type Client struct {
	*End
	Cuts    map[string]Cut // how commands are sent, by verb
	Default Cut            // how all others are

	host *lab.Namespace
}

// NewClient talks on a connection that host has opened.
func NewClient(host *lab.Namespace, conn *net.TCPConn) *Client {
	return &Client{End: newEnd(conn), host: host}
}

// Reply reads a reply, of several lines or one (RFC 959, section 4.2).
func (c *Client) Reply(ctx context.Context) (string, error) {
	text, err := c.ReadLine(ctx, "a reply")
	code, more, _ := ftp.ReplyLine([]byte(text))
	for more && err == nil {
		var line string
		if line, err = c.ReadLine(ctx, "the rest of a reply"); err != nil {
			return text, err
		}
		text += "\n" + line
		last, goesOn, ok := ftp.ReplyLine([]byte(line))
		more = !ok || goesOn || last != code
	}
	return text, err
}

// Send sends a command without waiting for a reply.
func (c *Client) Send(ctx context.Context, line string) error {
	verb, _, _ := strings.Cut(line, " ")
	cut, ok := c.Cuts[verb]
	if !ok {
		cut = c.Default
	}
	return c.Say(ctx, line+"\r\n", cut)
}

// Want reads a reply that has to begin with a code or a part of it.
func (c *Client) Want(ctx context.Context, code string) (string, error) {
	reply, err := c.Reply(ctx)
	if err == nil && !strings.HasPrefix(reply, code) {
		err = fmt.Errorf("%w: %q, want %s", ErrTold, reply, code)
	}
	return reply, err
}

// Command is Send and Want.
func (c *Client) Command(ctx context.Context, line, code string) (string, error) {
	if err := c.Send(ctx, line); err != nil {
		return "", err
	}
	reply, err := c.Want(ctx, code)
	if err != nil {
		err = fmt.Errorf("%s: %w", line, err)
	}
	return reply, err
}

// Commands sends pairs of a line and the code that answers it.
func (c *Client) Commands(ctx context.Context, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if _, err := c.Command(ctx, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Login waits for the greeting and logs in.
func (c *Client) Login(ctx context.Context) error {
	if _, err := c.Want(ctx, "220"); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	return c.Commands(ctx, "USER anonymous", "331", "PASS x", "230")
}

// Agree agrees with the server on a data connection, and returns what opens it once a command wants it.
func (c *Client) Agree(ctx context.Context, mode client.Mode) (open func() (net.Conn, error), err error) {
	if mode.Active() {
		open, line, err := c.Offer(ctx, mode)
		if err != nil {
			return nil, err
		}
		_, err = c.Command(ctx, line, "200")
		return open, err
	}
	at, err := c.Passive(ctx, mode)
	if err != nil {
		return nil, err
	}
	return func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dataPatience)
		defer cancel()
		return c.host.Dial(ctx, c.Local().Addr(), at)
	}, nil
}

// Offer listens for a data connection, and returns the command that says so and what takes the connection.
func (c *Client) Offer(ctx context.Context, mode client.Mode) (open func() (net.Conn, error), line string, err error) {
	l, err := ListenFresh(ctx, c.host, c.Local().Addr())
	if err != nil {
		return nil, "", err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	return func() (net.Conn, error) {
		defer l.Close()
		if err := l.SetDeadline(time.Now().Add(dataPatience)); err != nil {
			return nil, err
		}
		return l.Accept()
	}, mode.Announce(addrPort(l.Addr())), nil
}

// Passive asks where to connect to.
func (c *Client) Passive(ctx context.Context, mode client.Mode) (netip.AddrPort, error) {
	if mode == client.PASV {
		reply, err := c.Command(ctx, "PASV", "227")
		if err != nil {
			return netip.AddrPort{}, err
		}
		at, err := client.Parse227(reply)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrTold, err)
		}
		return at, err
	}
	reply, err := c.Command(ctx, "EPSV", "229")
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := client.Parse229(reply)
	return netip.AddrPortFrom(c.Remote().Addr(), port), err
}

// Fetch moves a file from the server and compares its bytes.
func (c *Client) Fetch(ctx context.Context, mode client.Mode, want []byte) error {
	open, err := c.Agree(ctx, mode)
	if err != nil {
		return fmt.Errorf("%s: %w", mode, err)
	}
	if err := c.Receive(ctx, open, want); err != nil {
		return fmt.Errorf("download by %s: %w", mode, err)
	}
	return nil
}

// Receive is the second half of Fetch.
func (c *Client) Receive(ctx context.Context, open func() (net.Conn, error), want []byte) error {
	if _, err := c.Command(ctx, "RETR file", "150"); err != nil {
		return err
	}
	data, err := open()
	if err != nil {
		reply, replyErr := c.Want(ctx, "4")
		if replyErr == nil {
			replyErr = fmt.Errorf("%w: %q", ErrTold, reply)
		}
		return fmt.Errorf("data connection: %w", errors.Join(err, replyErr))
	}
	defer data.Close()
	if err := data.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	got, err := io.ReadAll(data)
	switch {
	case err != nil:
		return fmt.Errorf("after %d bytes: %w", len(got), err)
	case !bytes.Equal(got, want):
		return fmt.Errorf("%d bytes came, which are not the %d that were sent", len(got), len(want))
	}
	_, err = c.Want(ctx, "226")
	return err
}
