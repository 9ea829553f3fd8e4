package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// flush has the balancer's conntrack forget everything, and waits until the helper knows.
func (f *farm) flush(t *testing.T) {
	t.Helper()
	f.runConntrack(t, "-F")
	eventually(t, "the helper has heard of it", func() bool { return len(f.currentSessions(t)) == 0 })
}

// openForServers makes the admin's firewall let packets of servers pass whose connection conntrack has lost: firewalls that
// are less careful than the lab's do. What is lost otherwise waits for the client's next packet.
func (f *farm) openForServers(t *testing.T) {
	t.Helper()
	for _, chain := range []string{"forward", "input"} {
		f.nft(t, "add", "rule", "inet", "admin", chain, "tcp", "sport", "{ 20, 21, 2121 }", "accept")
	}
}

func endpoint(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// TestConntrackFlushed has conntrack forget a session, and the server speak first: conntrack takes it for a connection of
// the server's. It is read and translated all the same.
func TestConntrackFlushed(t *testing.T) {
	f := newFarm(t, arrangement{})
	f.openForServers(t)
	session := f.playServers(t, f.vips[0])
	for _, tt := range []struct {
		name     string
		family   configs.Family
		transfer func(*testing.T, *farm, *ends)
	}{
		{"PASV", configs.IPv4, passiveAfterFlush}, {"EPSV", configs.IPv4, passiveAfterFlush}, {"EPSV", configs.IPv6, passiveAfterFlush},
		{"PORT", configs.IPv4, activeAfterFlush}, {"EPRT", configs.IPv6, activeAfterFlush},
	} {
		t.Run(fmt.Sprintf("IPv%d/%s", tt.family, tt.name), func(t *testing.T) {
			e := session(netip.Addr{}, tt.family)
			e.verb = tt.name
			e.toServer(t, "RETR file\r\n", "RETR file\r\n")
			f.acknowledged(t)
			f.flush(t)
			before := f.figures(t)
			e.toClient(t, "226 done\r\n", "226 done\r\n")
			tt.transfer(t, f, e)
			after := f.figures(t)
			if after.SessionsTotal != before.SessionsTotal+1 {
				t.Errorf("%d sessions began, want 1", after.SessionsTotal-before.SessionsTotal)
			}
			if n := after.Unread["no_vip"] + after.Unread["stray"] + after.Unread["unknown"]; n != 0 {
				t.Errorf("unread packets: %v", after.Unread)
			}
		})
	}
	if out := f.do(t, "status").Stdout; !strings.Contains(out, "ftp") {
		t.Errorf("status: %s", out)
	}
}

// passiveAfterFlush has the client ask for a passive data connection, and open it.
func passiveAfterFlush(t *testing.T, f *farm, e *ends) {
	addr := e.backend.Addrs.Of(configs.FamilyOf(endpoint(e.client.RemoteAddr()).Addr()))
	l, err := e.backend.Listen(t.Context(), netip.AddrPortFrom(addr, 0))
	must(t, err)
	defer func() { _ = l.Close() }()
	port := endpoint(l.Addr()).Port()
	e.toServer(t, e.verb+"\r\n", e.verb+"\r\n")
	vip := endpoint(e.client.RemoteAddr()).Addr()
	if e.verb == "PASV" {
		reply := func(a netip.Addr, tail string) string {
			return fmt.Sprintf("227 Entering Passive Mode (%s,%d,%d)%s\r\n", strings.ReplaceAll(a.String(), ".", ","), port>>8, port&255, tail)
		}
		e.toClient(t, reply(addr, "."), reply(vip, ""))
	} else {
		reply := fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)\r\n", port)
		e.toClient(t, reply, reply)
	}
	c, err := f.Client.Dial(soon(t), netip.Addr{}, netip.AddrPortFrom(vip, port))
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	data, err := l.Accept()
	must(t, err)
	defer func() { _ = data.Close() }()
	say(t, data, "the file")
	hear(t, c, "the file")
}

// activeAfterFlush has the client announce its port, and the server open the data connection.
func activeAfterFlush(t *testing.T, f *farm, e *ends) {
	own, vip := endpoint(e.client.LocalAddr()).Addr(), endpoint(e.client.RemoteAddr()).Addr()
	l, err := f.Client.Listen(t.Context(), netip.AddrPortFrom(own, 0))
	must(t, err)
	defer func() { _ = l.Close() }()
	at := endpoint(l.Addr())
	line := fmt.Sprintf("PORT %s,%d,%d\r\n", strings.ReplaceAll(own.String(), ".", ","), at.Port()>>8, at.Port()&255)
	if e.verb == "EPRT" {
		line = fmt.Sprintf("EPRT |%d|%s|%d|\r\n", map[bool]int{true: 1, false: 2}[own.Is4()], own, at.Port())
	}
	e.toServer(t, line, line)
	e.toClient(t, "200 ok\r\n", "200 ok\r\n")
	data, err := e.backend.Dial(soon(t), netip.Addr{}, at)
	must(t, err)
	defer func() { _ = data.Close() }()
	must(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	c, err := l.Accept()
	must(t, err)
	defer func() { _ = c.Close() }()
	if from := endpoint(c.RemoteAddr()).Addr(); from != vip {
		t.Errorf("the data connection comes from %s, want the VIP", from)
	}
	say(t, data, "the file")
	hear(t, c, "the file")
}

// isReset waits until one end's connection was reset; what it reads before must not name a backend.
func isReset(t *testing.T, c net.Conn, who string) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if strings.Contains(line, "10,2,0,") {
			t.Errorf("the %s reads %q", who, line)
		}
		if errors.Is(err, unix.ECONNRESET) {
			return
		}
		if err != nil {
			t.Errorf("the %s's connection ends with %v, want a reset", who, err)
			return
		}
	}
}

// TestConntrackFlushedElsewhere has arrangements in which a server's packet does not lead back to the client: the session
// ends with a reset at both ends, and nothing private is read.
func TestConntrackFlushedElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		with arrangement
		port uint16 // of the servers
		// the helper ends it; elsewhere the ends do, which get packets of connections that they do not know
		helper bool
	}{
		{name: "one-arm", with: arrangement{arm: lab.OneArm, snat: func(*lab.Lab) string { return "masquerade" }}, port: 21},
		{name: "no source group", with: arrangement{pool: []string{`source_group: "off"`}}, port: 21},
		{name: "another port", port: 2121, helper: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t, tt.with)
			f.openForServers(t)
			v := f.vips[0]
			if tt.port != 21 {
				f.nft(t, "add", "rule", "inet", "admin", "forward", "tcp", "dport", fmt.Sprint(tt.port), "accept")
				must(t, f.ftpvip.Configure(fmt.Sprintf(`
vips: [{name: ftp, addresses: %s, port: 21, pool: farm}]
pools: [{name: farm, backends: [%s]}]
`, lab.YAMLAddrs(f.VIPs[0]), backends(v, int(tt.port)))))
				f.do(t, "apply")
				f.hangup(t, "configuration reloaded", 1)
			}
			session := f.playServersAt(t, v, tt.port)
			for _, family := range configs.Families {
				e := session(netip.Addr{}, family)
				e.toClient(t, "220 ready\r\n", "220 ready\r\n")
				e.toServer(t, "PASV\r\n", "PASV\r\n")
				f.flush(t)
				say(t, e.server, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
				if tt.helper {
					isReset(t, e.server, "server")
				}
				_, err := e.client.Write([]byte("NOOP\r\n"))
				must(t, err)
				isReset(t, e.client, "client")
			}
			if n := f.figures(t).Unread["stray"]; (n > 0) != tt.helper {
				t.Errorf("%d packets of strays were dropped", n)
			}
			if tt.helper && !strings.Contains(f.helper.Stderr(), "source_group") {
				t.Error("the log does not say what to do")
			}
		})
	}
}
