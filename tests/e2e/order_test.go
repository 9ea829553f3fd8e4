package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
)

// TestResetAfterCommand has clients that say a command and at once end the connection by a reset, which carries no
// payload. The server reads the command each time, as it does without us: the reset must not overtake it.
func TestResetAfterCommand(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServers(t, f.vips[0])
	const sessions = 30
	for _, family := range configs.Families {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			arrived := 0
			for i := range sessions {
				e := session(netip.Addr{}, family)
				command := fmt.Sprintf("MKD directory-%d\r\n", i)
				must(t, e.client.(*net.TCPConn).SetLinger(0))
				say(t, e.client, command)
				must(t, e.client.Close())
				must(t, e.server.SetReadDeadline(time.Now().Add(30*time.Second)))
				got, err := io.ReadAll(e.server)
				if err == nil {
					t.Errorf("session %d ends without a reset", i)
				}
				if string(got) == command {
					arrived++
				}
			}
			if arrived != sessions {
				t.Errorf("%d of %d commands arrived", arrived, sessions)
			}
		})
	}
	if strings.Contains(f.helper.Stderr(), "unread") {
		t.Error("packets passed unread")
	}
}

// TestStrayReset has a reset for a connection that the helper does not know: it goes its way without a look-up, and
// makes no session.
func TestStrayReset(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServersSilently(t, f.vips[0])
	before := f.figures(t)
	e := session(netip.Addr{}, configs.IPv4)
	must(t, e.client.(*net.TCPConn).SetLinger(0))
	must(t, e.client.Close())
	must(t, e.server.SetReadDeadline(time.Now().Add(30*time.Second)))
	if _, err := e.server.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the server does not get the reset: %v", err)
	}
	eventually(t, "the helper gets the reset", func() bool { return f.figures(t).Packets > before.Packets })
	after := f.figures(t)
	if after.SessionsTotal != before.SessionsTotal {
		t.Error("the reset makes a session")
	}
	if strings.Contains(f.helper.Stderr(), "unread") {
		t.Error("the log complains of it")
	}
}
