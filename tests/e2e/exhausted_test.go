package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
	"ftpvip/tests/lab"
)

// TestNoCarrier has a control connection on which no expectation can hang: the admin's own rules were in the way when
// it began. The client gets an answer, and the log says what to do.
func TestNoCarrier(t *testing.T) {
	f := newFarm(t, arrangement{})
	f.nft(t, "flush", "chain", "inet", "ftpvip", "assign")
	session := f.playServers(t, f.vips[0])
	e := session(netip.Addr{}, configs.IPv4)
	noRoomFor(t, f, e, "no_carrier", "the client has to connect again")
}

// noRoomFor announces data connections that cannot be had.
func noRoomFor(t *testing.T, f *farm, e *ends, outcome, remedy string) {
	t.Helper()
	before := f.figures(t).Expectations[outcome]
	refused := func(command, reply string) {
		t.Helper()
		e.toServer(t, command, command)
		e.toClient(t, reply, fmt.Sprintf("%-*s\r\n", len(reply)-2, "425 Data connection refused by gateway: open"))
	}
	backend := strings.ReplaceAll(e.backend.Addrs.V4.String(), ".", ",")
	refused("PASV\r\n", "227 Entering Passive Mode ("+backend+",195,80).\r\n")
	refused("EPSV\r\n", "229 Entering Extended Passive Mode (|||50000|)\r\n")
	// In two-arm mode PORT passes: it may work without an expectation, where the host's firewall lets it through.
	e.toServer(t, ownPort, ownPort)
	if n := f.figures(t).Expectations[outcome] - before; n != 3 {
		t.Errorf("the outcome %s is counted %d times, want 3", outcome, n)
	}
	for _, line := range []string{"msg=refused", "no expectation for a data connection, which will fail"} {
		if got := f.logged(t, line); !strings.Contains(got, remedy) {
			t.Errorf("the log does not say %q: %s", remedy, got)
		}
	}
	e.toServer(t, "NOOP\r\n", "NOOP\r\n")
	e.toClient(t, "200 ok\r\n", "200 ok\r\n")
}

// tracker asks the balancer's conntrack.
func (f *farm) tracker(t *testing.T) (tracker track.Tracker) {
	t.Helper()
	must(t, f.Balancer.Do(func() (err error) {
		tracker, err = track.Open(track.NewEarlier())
		return err
	}))
	t.Cleanup(func() { must(t, tracker.Close()) })
	return tracker
}

// TestExpectationTableFull fills the kernel's table of expectations.
func TestExpectationTableFull(t *testing.T) {
	f := newFarm(t, arrangement{clients: 4})
	v := f.vips[0]
	session := f.playServers(t, v)
	e := session(netip.Addr{}, configs.IPv4)
	tracker := f.tracker(t)
	limit := setting(t, f.Balancer, "nf_conntrack_expect_max")
	// Each control connection has room for one expectation; conntrack remembers it when it has been closed.
	for i := range limit + 1 {
		from := f.ClientAddrs[i%len(f.ClientAddrs)].V4
		c, err := f.Client.Dial(soon(t), from, v.at(configs.IPv4))
		must(t, err)
		client := c.LocalAddr().(*net.TCPAddr).AddrPort()
		connection, err := tracker.Lookup(v.at(configs.IPv4), client)
		must(t, err)
		port := uint16(10_000 + i)
		err = tracker.Expect(connection.Connection, ftp.DataConn{
			Command: ftp.CmdEPSV, Passive: true, Port: port, At: netip.AddrPortFrom(connection.VIP.Addr(), port),
			To: netip.AddrPortFrom(connection.Backend.Addr(), port),
		})
		must(t, c.Close())
		if err != nil {
			t.Logf("full after %d: %v", i, err)
			break
		}
		if i == limit {
			t.Fatalf("the kernel took %d expectations, and its limit is %d", i+1, limit)
		}
	}
	noRoomFor(t, f, e, "table_full", "net.netfilter.nf_conntrack_expect_max")
}

// TestConntrackTableNearlyFull fills conntrack's table with other connections of the host, so that new ones are at the
// kernel's mercy. The helper says so, and shows it in its figures.
func TestConntrackTableNearlyFull(t *testing.T) {
	f := newFarm(t, arrangement{})
	limit := setting(t, f.Balancer, "nf_conntrack_max")
	must(t, f.Balancer.Do(func() error {
		for sent := 0; sent < limit; {
			c, err := net.ListenUDP("udp4", nil)
			if err != nil {
				return err
			}
			for port := 1; port < 60_000 && sent < limit; port++ {
				// Nobody is there, and nobody answers.
				_, _ = c.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(f.ClientAddrs[0].V4, uint16(port)))
				sent++
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	}))
	line := f.logged(t, "the conntrack table is nearly full")
	for _, want := range []string{"nf_conntrack_max", fmt.Sprintf("max=%d", limit)} {
		if !strings.Contains(line, want) {
			t.Errorf("the log does not say %q: %s", want, line)
		}
	}
	figures := f.figures(t)
	if got := figures.Conntrack; got.Limit != uint64(limit) || got.Entries < uint64(limit)*95/100 {
		t.Errorf("the figures are %+v, want %d entries at least of %d", got, limit*95/100, limit)
	}
}

// setting reads a number that the kernel's conntrack goes by.
func setting(t *testing.T, n *lab.Namespace, name string) (value int) {
	t.Helper()
	must(t, n.Do(func() error {
		b, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
		if err == nil {
			value, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err
	}))
	return value
}
