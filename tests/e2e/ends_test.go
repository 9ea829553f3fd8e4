package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/live"
	"ftpvip/tests/lab"
)

// ends are both ends of one control connection through a VIP, for tests that say every byte of it themselves.
type ends struct {
	client, server net.Conn
	backend        *lab.Backend // the server's end
	verb           string       // that the test is about
}

// playServers puts the test in the place of a VIP's servers. What it returns makes control connections; each has been
// greeted, so that the helper has seen it from its start.
func (f *farm) playServers(t *testing.T, v *vip) func(from netip.Addr, family configs.Family) *ends {
	t.Helper()
	dial := f.playServersSilently(t, v)
	return func(from netip.Addr, family configs.Family) *ends {
		t.Helper()
		e := dial(from, family)
		e.toClient(t, "220 ready\r\n", "220 ready\r\n")
		return e
	}
}

// playServersSilently is playServers without a greeting.
func (f *farm) playServersSilently(t *testing.T, v *vip) func(from netip.Addr, family configs.Family) *ends {
	t.Helper()
	return f.playServersAt(t, v, 21)
}

// playServersAt is playServersSilently with servers on another port.
func (f *farm) playServersAt(t *testing.T, v *vip, port uint16) func(from netip.Addr, family configs.Family) *ends {
	t.Helper()
	type accepted struct {
		conn    net.Conn
		backend *lab.Backend
	}
	arrived := make(chan accepted, 16)
	for i, b := range v.Backends {
		v.servers[i].Kill()
		for _, addr := range b.Addrs.All() {
			l, err := b.Listen(t.Context(), netip.AddrPortFrom(addr, port))
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					arrived <- accepted{c, b}
				}
			}()
		}
	}
	return func(from netip.Addr, family configs.Family) *ends {
		t.Helper()
		c, err := f.Client.Dial(soon(t), from, v.at(family))
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		select {
		case a := <-arrived:
			t.Cleanup(func() { _ = a.conn.Close() })
			return &ends{client: c, server: a.conn, backend: a.backend}
		case <-time.After(10 * time.Second):
			t.Fatal("no server was reached")
			return nil
		}
	}
}

// toServer has the client say something, and the server read something.
func (e *ends) toServer(t *testing.T, said, read string) {
	t.Helper()
	say(t, e.client, said)
	hear(t, e.server, read)
}

// toClient has the server say something, and the client read something.
func (e *ends) toClient(t *testing.T, said, read string) {
	t.Helper()
	say(t, e.server, said)
	hear(t, e.client, read)
}

// say sends each text in a segment of its own.
func say(t *testing.T, c net.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := io.WriteString(c, text)
		must(t, err)
	}
}

// hear reads what is wanted. A rewritten line has the length of the original, so nothing may come short.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	must(t, heard(c, want, 20*time.Second))
}

// heard is hear for a goroutine of its own.
func heard(c net.Conn, want string, within time.Duration) error {
	b := make([]byte, len(want))
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	n, err := io.ReadFull(c, b)
	switch {
	case err != nil:
		return fmt.Errorf("%s reads %q, want %q: %w", c.LocalAddr(), b[:n], want, err)
	case string(b) != want:
		return fmt.Errorf("%s reads %q, want %q", c.LocalAddr(), b, want)
	}
	return nil
}

// figures are the running helper's.
func (f *farm) figures(t *testing.T) *live.Figures {
	t.Helper()
	figures, err := live.AskFigures(soon(t), f.socket())
	must(t, err)
	return figures
}

func (f *farm) socket() string { return filepath.Join(f.ftpvip.State, "helper.sock") }

// eventually waits for a condition, as long as a loaded machine may take.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
