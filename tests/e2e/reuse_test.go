package e2e

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestClientUsesItsPortAgain has a client whose active transfers all go to the same port, one session after the other
// and to both servers, within the two minutes for which conntrack remembers a closed connection. Servers open data
// connections from port 20, so nothing but our own port tells one from the next in one-arm mode.
func TestClientUsesItsPortAgain(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, scheduler: "round-robin"})
			session := f.playServers(t, f.vips[0])
			for _, family := range configs.Families {
				at := netip.AddrPortFrom(f.ClientAddrs[0].Of(family), 50_000)
				l, err := f.Client.Listen(t.Context(), at)
				must(t, err)
				defer l.Close()
				served := map[string]int{}
				for n := range 6 {
					e := session(f.ClientAddrs[0].Of(family), family)
					say(t, e.client, client.EPRT.Announce(at)+"\r\n")
					to := readEPRT(t, e.server)
					c, err := e.backend.DialFrom(soon(t), netip.AddrPortFrom(netip.Addr{}, 20), to)
					if err != nil {
						t.Fatalf("IPv%d, session %d: the server cannot connect: %v", family, n, err)
					}
					upload(t, l, c)
					served[e.backend.Name]++
				}
				if len(served) != 2 {
					t.Errorf("IPv%d: the sessions were at %v, want both servers", family, served)
				}
			}
		})
	}
}

// readEPRT reads the command as the server gets it.
func readEPRT(t *testing.T, server net.Conn) netip.AddrPort {
	t.Helper()
	must(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
	line, err := bufio.NewReader(server).ReadString('\n')
	must(t, err)
	fields := strings.Split(line, "|")
	if len(fields) != 5 {
		t.Fatalf("the server reads %q", line)
	}
	at, err := netip.ParseAddrPort(net.JoinHostPort(fields[2], strings.TrimLeft(fields[3], "0")))
	must(t, err)
	return at
}

// upload has the client send something to the server, and close first: both ends have forgotten the connection then,
// but for the client's TIME-WAIT.
func upload(t *testing.T, l *net.TCPListener, server net.Conn) {
	t.Helper()
	must(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	near, err := l.Accept()
	must(t, err)
	say(t, near, "a file")
	must(t, near.Close())
	must(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
	got, err := io.ReadAll(server)
	must(t, err)
	must(t, server.Close())
	if string(got) != "a file" {
		t.Errorf("the server has got %q", got)
	}
}
