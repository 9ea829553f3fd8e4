package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestPolicy relaxes a VIP's policy, and sees on the wire that it holds.
func TestPolicy(t *testing.T) {
	f := newFarm(t, arrangement{clients: 2, carrier: configs.CarrierAuto})
	v := f.vips[0]
	const application = "    application: ftp-control\n"
	must(t, f.ftpvip.Configure(strings.Replace(f.config(), application,
		application+"    fxp: allow\n    ports_min: 2000\n    data_source: any\n    advertise: 203.0.113.10\n", 1)))
	f.do(t, "apply")
	f.hangup(t, "configuration reloaded", 1)
	session := f.playServers(t, v)
	e := session(f.ClientAddrs[0].V4, configs.IPv4)

	// advertise: the reply names what the VIP is called outside. data_source: any address may come, once.
	e.toServer(t, "PASV\r\n", "PASV\r\n")
	e.toClient(t,
		fmt.Sprintf("227 Entering Passive Mode (%s,200,1).\r\n", strings.ReplaceAll(e.backend.Addrs.V4.String(), ".", ",")),
		"227 Entering Passive Mod(203,0,113,10,200,1)\r\n")
	l, err := e.backend.Listen(t.Context(), netip.AddrPortFrom(e.backend.Addrs.V4, 200<<8|1))
	must(t, err)
	defer l.Close()
	data := netip.AddrPortFrom(v.VIP.V4, 200<<8|1)
	if !f.connects(t, f.ClientAddrs[1].V4, data) {
		t.Error("data_source is any, and another address does not get in")
	}
	if f.connects(t, f.ClientAddrs[1].V4, data) {
		t.Error("it gets in twice")
	}

	// fxp: the server may connect to another host than the client, and comes from the VIP.
	other := netip.AddrPortFrom(f.ClientAddrs[1].V4, 50_000)
	from, err := f.Client.Listen(t.Context(), other)
	must(t, err)
	defer from.Close()
	port := fmt.Sprintf("PORT %s,195,80\r\n", strings.ReplaceAll(other.Addr().String(), ".", ","))
	e.toServer(t, port, port)
	c, err := e.backend.Dial(soon(t), netip.Addr{}, other)
	must(t, err)
	defer c.Close()
	arrived, err := from.AcceptTCP()
	must(t, err)
	defer arrived.Close()
	if got, _ := netip.ParseAddrPort(arrived.RemoteAddr().String()); got.Addr() != v.VIP.V4 {
		t.Errorf("the data connection comes from %s, want the VIP", got)
	}

	// ports_min
	e.toServer(t, "PORT 198,51,100,11,7,207\r\n", "XXXXXXXXXXXXXXXXXXXXXXXX\r\n")
}

// TestPortIsAnnouncedAgain has a client announce the same port in two sessions: the later one is in force, though the
// kernel has not forgotten the first.
func TestPortIsAnnouncedAgain(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServers(t, f.vips[0])
	for _, family := range configs.Families {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			at := netip.AddrPortFrom(f.ClientAddrs[0].Of(family), 50_000)
			command := client.EPRT.Announce(at) + "\r\n"
			for range 2 { // one is still there
				session(netip.Addr{}, family).toServer(t, command, command)
			}
			gone := session(netip.Addr{}, family)
			gone.toServer(t, command, command)
			must(t, gone.client.Close())
			must(t, gone.server.Close())
			e := session(netip.Addr{}, family)
			e.toServer(t, command, command)
			l, err := f.Client.Listen(t.Context(), at)
			must(t, err)
			defer l.Close()
			if !reaches(t, e.backend.Namespace, netip.Addr{}, at) {
				t.Error("the server cannot connect to the client")
			}
		})
	}
	if n := f.figures(t).Expectations["port_busy"]; n != 0 {
		t.Errorf("%d ports were busy", n)
	}
}
