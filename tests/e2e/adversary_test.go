package e2e

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/live"
)

// Attacks whose point is what the wire does with them: as segments, resets, and lines that no socket would send. What
// is only a matter of reading has its tables in helper/ftp. The client has an address of the lab's, the victim is a
// backend.
const (
	ownPort    = "PORT 198,51,100,11,200,10\r\n"
	victimPort = "PORT 10,2,0,12,200,10\r\n"
)

// adversary is a farm for attacks, and what makes sessions in it.
type adversary struct {
	*farm
	session func(netip.Addr, configs.Family) *ends
}

func newAdversary(t *testing.T) *adversary {
	t.Helper()
	f := newFarm(t, arrangement{})
	return &adversary{f, f.playServers(t, f.vips[0])}
}

// made is how many data connections were announced to the kernel so far.
func (a *adversary) made(t *testing.T) uint64 {
	t.Helper()
	return a.figures(t).Expectations["created"]
}

// TestAdversary has one subtest for each attack, all on one balancer.
func TestAdversary(t *testing.T) {
	a := newAdversary(t)
	for _, tt := range []struct {
		name   string
		attack func(*testing.T, *adversary, *ends)
	}{
		{"forged 227 without PASV", forged227},
		{"227 in a multi-line body", multiLine227},
		{"split at every byte", splitAtEveryByte},
		{"NAT slipstreaming", slipstreaming},
		{"bare CR", func(t *testing.T, _ *adversary, e *ends) {
			e.toServer(t, "NOOP\r"+victimPort, strings.Repeat("X", 4)+"\r"+strings.Repeat("X", len(victimPort)-2)+"\r\n")
		}},
		{"NUL bytes", func(t *testing.T, _ *adversary, e *ends) {
			e.toServer(t, "\x00"+victimPort, strings.Repeat("X", len(victimPort)-1)+"\r\n")
		}},
		{"1 MB line", longLine},
		{"PASV pipelined 10 deep", pipelined},
		{"EPSV ALL then PORT", func(t *testing.T, _ *adversary, e *ends) {
			e.toServer(t, "EPSV ALL\r\n", "EPSV ALL\r\n")
			e.toClient(t, "200 ok\r\n", "200 ok\r\n")
			e.toServer(t, ownPort, "XXXXXXXXXXXXXXXXXXXXXXXXX\r\n")
		}},
		{"TLS then garbage", tlsThenGarbage},
		{"RST mid-line", resetMidLine},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.attack(t, a, a.session(netip.Addr{}, configs.IPv4)) })
	}
}

func forged227(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	e.toClient(t, "227 Entering Passive Mode (10,2,0,11,12,234)\r\n", "227 Entering Passive Mode                   \r\n")
	if n := a.made(t) - before; n != 0 {
		t.Errorf("it made %d expectations", n)
	}
	l, err := e.backend.Listen(t.Context(), netip.AddrPortFrom(e.backend.Addrs.V4, 3306))
	must(t, err)
	defer l.Close()
	if a.connects(t, netip.Addr{}, netip.MustParseAddrPort("192.0.2.10:3306")) {
		t.Error("the port is open")
	}
}

func multiLine227(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	e.toServer(t, "STAT\r\nPASV\r\n", "STAT\r\nPASV\r\n")
	const body = "211-Status\r\n227 Entering Passive Mode (10,2,0,11,12,234)\r\n211 End\r\n"
	e.toClient(t, body, body)
	if n := a.made(t) - before; n != 0 {
		t.Errorf("it made %d expectations", n)
	}
}

// splitAtEveryByte sends a command and a reply in two segments, and then in single bytes.
func splitAtEveryByte(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	reply := "227 Entering Passive Mode (" + strings.ReplaceAll(e.backend.Addrs.V4.String(), ".", ",") + ",195,80).\r\n"
	const read = "227 Entering Passive Mode (192,0,2,10,195,80)\r\n"
	pasv := func() { e.toServer(t, "PASV\r\n", "PASV\r\n") }
	for i := 1; i < len(reply); i++ {
		pasv()
		say(t, e.server, reply[:i], reply[i:])
		hear(t, e.client, read)
	}
	pasv()
	say(t, e.server, strings.Split(reply, "")...)
	hear(t, e.client, read)
	for i := 1; i < len(ownPort); i++ {
		say(t, e.client, ownPort[:i], ownPort[i:])
		hear(t, e.server, ownPort)
	}
	for i := 1; i < len(victimPort); i++ {
		say(t, e.client, victimPort[:i], victimPort[i:])
		line := make([]byte, len(victimPort)) // as much of it as is the client's own address may have gone on
		_, err := io.ReadFull(e.server, line)
		must(t, err)
		if strings.Contains(string(line), "10,2") {
			t.Errorf("split at %d, the server reads %q", i, line)
		}
	}
	// The same PORT again needs no new one, as long as nothing else was said.
	if n, want := a.made(t)-before, uint64(len(reply)+1); n < want || n > want+uint64(len(ownPort)) {
		t.Errorf("%d expectations, want %d at least", n, want)
	}
}

// slipstreaming has a command begin a segment, though not a line (samy.pl/slipstream).
func slipstreaming(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	post := "POST /" + strings.Repeat("A", 1400)
	const fake = "PORT 198,51,100,11,201,10\r\n" // a port that no other test announces
	say(t, e.client, post, fake)
	// Servers that split long lines at their buffer read a command there.
	hear(t, e.server, post+"PORT 198XXXXXXXXXXXXXXXXX\r\n")
	if n := a.made(t) - before; n != 0 {
		t.Errorf("it made %d expectations", n)
	}
	at := netip.MustParseAddrPort("198.51.100.11:51466")
	l, err := a.Client.Listen(t.Context(), at)
	must(t, err)
	defer l.Close()
	if reaches(t, e.backend.Namespace, netip.Addr{}, at) {
		t.Error("the client's port is open")
	}
}

func longLine(t *testing.T, a *adversary, e *ends) {
	line := "SITE " + strings.Repeat("x", 1<<20) + "\r\n"
	go func() { _, _ = e.client.Write([]byte(line)) }()
	hear(t, e.server, line)
	go func() { _, _ = e.server.Write([]byte("200-" + line)) }()
	hear(t, e.client, "200-"+line)
	before := a.made(t)
	e.toClient(t, "200 done\r\n", "200 done\r\n")
	e.toServer(t, ownPort, ownPort)
	if n := a.made(t) - before; n != 1 {
		t.Errorf("the next command made %d expectations, want 1", n)
	}
}

func pipelined(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	lines := strings.Repeat("PASV\r\n", 10)
	e.toServer(t, lines, lines)
	reply := "227 Entering Passive Mode (" + strings.ReplaceAll(e.backend.Addrs.V4.String(), ".", ",") + ",195,81).\r\n"
	const read = "227 Entering Passive Mode (192,0,2,10,195,81)\r\n"
	e.toClient(t, strings.Repeat(reply, 10), strings.Repeat(read, 10))
	if n := a.made(t) - before; n != 10 {
		t.Errorf("%d expectations, want 10", n)
	}
	e.toClient(t, reply, "227 Entering Passive Mode                   .\r\n") // an eleventh that nobody asked for
}

func tlsThenGarbage(t *testing.T, a *adversary, e *ends) {
	e.toServer(t, "AUTH TLS\r\n", "AUTH TLS\r\n")
	e.toClient(t, "234 go\r\n", "234 go\r\n")
	const begins = "\x16\x03\x03\x00\x02\x02\x00" // only then nobody can read on
	e.toClient(t, begins, begins)
	before := a.made(t)
	for _, garbage := range []string{"\x16\x03\x01\x02\x00" + ownPort, "\xff\x00" + ownPort + "\x00", "x" + ownPort + "x"} {
		e.toServer(t, garbage, garbage)
	}
	const forged = "\x17\x03\x03\x00\x20227 Entering Passive Mode (10,2,0,11,12,234)\r\n"
	e.toClient(t, forged, forged)
	if n := a.made(t) - before; n != 0 {
		t.Errorf("it made %d expectations", n)
	}
}

// resetMidLine ends a connection while a part of a line is held. Nothing stays of it.
func resetMidLine(t *testing.T, a *adversary, e *ends) {
	before := a.made(t)
	client := e.client.LocalAddr().String()
	e.toServer(t, "NOOP\r\n", "NOOP\r\n")
	const begun = "PORT 198,51,"
	say(t, e.client, begun)
	must(t, e.client.(*net.TCPConn).SetLinger(0)) // close by a reset
	must(t, e.client.Close())
	must(t, e.server.SetReadDeadline(time.Now().Add(20*time.Second)))
	if rest, err := io.ReadAll(e.server); len(rest) > len(begun) || string(rest) != begun[:len(rest)] || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the server reads %q more, then %v, want a reset", rest, err)
	}
	eventually(t, "the session is forgotten, and no packet waits", func() bool {
		f := a.figures(t)
		for _, q := range f.Queues {
			if q.Waiting > 0 {
				return false
			}
		}
		for _, s := range a.currentSessions(t) {
			if s.Client.String() == client {
				return false
			}
		}
		return true
	})
	if n := a.made(t) - before; n != 0 {
		t.Errorf("it made %d expectations", n)
	}
}

func (f *farm) currentSessions(t *testing.T) []live.Session {
	t.Helper()
	list, err := live.AskSessions(soon(t), f.socket())
	must(t, err)
	return list
}
