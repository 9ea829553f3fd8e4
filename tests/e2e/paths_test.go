package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestClientsNearby moves files for clients that are no strangers: the balancer itself, whose packets come by the
// output hook, and a backend, whose packets would come back to it directly.
func TestClientsNearby(t *testing.T) {
	for _, carrier := range carriers {
		for _, arm := range arms {
			for _, group := range []string{"auto", "off"} {
				if group == "off" && (arm.arm != lab.TwoArm || carrier != configs.CarrierSane) {
					continue // it makes a difference to the way back in two-arm mode
				}
				name := fmt.Sprintf("%s/%s/source group %s", carrier, arm.name, group)
				t.Run(name, func(t *testing.T) {
					f := newFarm(t, arrangement{
						kinds: []server.Kind{server.VSFTPD}, arm: arm.arm, snat: arm.snat, carrier: carrier,
						scheduler: "round-robin", pool: []string{fmt.Sprintf("source_group: %q", group)},
					})
					v := f.vips[0]
					v.put(t, "file", content("file", smallSize))
					for _, family := range configs.Families {
						for _, mode := range client.Modes(family) {
							if arm.name == "one-arm address" && mode.Active() && family == configs.IPv4 {
								// The lab's address for this is longer than those of these clients, so it does not
								// fit where PORT and EPRT name theirs.
								continue
							}
							t.Run(fmt.Sprintf("balancer/IPv%d/%s", family, mode), func(t *testing.T) {
								f.transfers(t, v, f.Balancer, family, mode)
							})
							t.Run(fmt.Sprintf("backend/IPv%d/%s", family, mode), func(t *testing.T) {
								f.transfers(t, v, f.Backends[0].Namespace, family, mode)
							})
						}
					}
				})
			}
		}
	}
}

// transfers makes sessions from a host until each server of the VIP has had one, and moves files both ways in each.
func (f *farm) transfers(t *testing.T, v *vip, host *lab.Namespace, family configs.Family, mode client.Mode) {
	t.Helper()
	reached := map[string]bool{}
	for i := range 2 * len(v.servers) {
		s, err := client.Dial(t.Context(), host, netip.Addr{}, v.at(family))
		must(t, err)
		reached[s.Banner] = true
		var got bytes.Buffer
		transfer, err := s.Download(t.Context(), mode, "file", &got)
		must(t, err)
		if !bytes.Equal(got.Bytes(), content("file", smallSize)) {
			t.Errorf("session %d: the file differs", i)
		}
		if at := v.at(family).Addr(); transfer.Peer.Addr() != at {
			t.Errorf("session %d: the data connection's other end is %s, want the VIP %s", i, transfer.Peer, at)
		}
		name := fmt.Sprintf("%s-%s-%d-%d", host.Name, mode, family, i)
		_, err = s.Upload(t.Context(), mode, server.UploadDir+"/"+name, strings.NewReader(name))
		must(t, err)
		if b := v.uploaded(t, name); string(b) != name {
			t.Errorf("session %d: the server has got %q", i, b)
		}
		must(t, s.Close())
	}
	if len(reached) != len(v.servers) {
		t.Errorf("sessions reached %v, want every server", reached)
	}
}

// TestManyVIPs has two VIPs on one pool, two ports of one address, and SFTP's port beside FTP's, all at once.
func TestManyVIPs(t *testing.T) {
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD, server.PyFTPDlib}, arm: arm.arm, snat: arm.snat})
			main, other := f.vips[0], f.vips[1]
			for _, v := range f.vips {
				v.put(t, "file", content("file", smallSize))
			}
			f.nft(t, "add", "rule", "inet", "admin", "forward", "tcp", "dport", "{ 22, 2200 }", "accept")
			snat := "none"
			if arm.snat != nil {
				snat = "masquerade"
			}
			must(t, f.ftpvip.Configure(fmt.Sprintf(`
vips:
  - {name: first, addresses: %[1]s, port: 21, pool: farm}
  - {name: second, addresses: %[2]s, port: 21, pool: farm}
  - {name: high, addresses: %[1]s, port: 2121, pool: farm}
  - {name: sftp, addresses: %[1]s, port: 22, application: tcp, pool: ssh}
  - {name: python, addresses: %[2]s, port: 2121, pool: python}
pools:
  - {name: farm, scheduler: round-robin, snat: %[3]s, backends: [%[4]s]}
  - {name: python, scheduler: round-robin, snat: %[3]s, backends: [%[5]s]}
  - {name: ssh, scheduler: round-robin, snat: %[3]s, backends: [%[6]s]}
`, lab.YAMLAddrs(f.VIPs[0]), lab.YAMLAddrs(f.VIPs[1]), snat, backends(main, 21), backends(other, 21), backends(main, 2200))))
			f.do(t, "apply")
			f.exits(t, 0, "diff")
			f.hangup(t, "configuration reloaded", 1)
			for _, family := range configs.Families {
				for i, at := range []struct {
					vip  configs.Addrs
					port uint16
					farm *vip
				}{{f.VIPs[0], 21, main}, {f.VIPs[1], 21, main}, {f.VIPs[0], 2121, main}, {f.VIPs[1], 2121, other}} {
					for _, mode := range client.Modes(family) {
						t.Run(fmt.Sprintf("VIP %d/IPv%d/%s", i, family, mode), func(t *testing.T) {
							v := *at.farm
							v.VIP = at.vip
							s, err := client.Dial(t.Context(), f.Client, netip.Addr{}, netip.AddrPortFrom(at.vip.Of(family), at.port))
							must(t, err)
							var got bytes.Buffer
							transfer, err := s.Download(t.Context(), mode, "file", &got)
							must(t, err)
							if !bytes.Equal(got.Bytes(), content("file", smallSize)) || transfer.Peer.Addr() != at.vip.Of(family) {
								t.Errorf("%d bytes from %s, want %d from %s", got.Len(), transfer.Peer, smallSize, at.vip.Of(family))
							}
							if !strings.HasPrefix(s.Banner, at.farm.Name) {
								t.Errorf("the VIP leads to %q, want %s", s.Banner, at.farm.Name)
							}
							must(t, s.Close())
						})
					}
				}
				t.Run(fmt.Sprintf("SFTP/IPv%d", family), func(t *testing.T) { testPlainTCP(t, f, main, family) })
			}
		})
	}
}

func backends(v *vip, port int) string {
	var all []string
	for _, b := range v.Backends {
		all = append(all, fmt.Sprintf("{name: %s, addresses: %s, port: %d}", b.Name, lab.YAMLAddrs(b.Addrs), port))
	}
	return strings.Join(all, ", ")
}

// testPlainTCP sends bytes through a VIP that nobody reads, to servers that send them back: some look like FTP.
func testPlainTCP(t *testing.T, f *farm, v *vip, family configs.Family) {
	for _, b := range v.Backends {
		l, err := b.Listen(t.Context(), netip.AddrPortFrom(b.Addrs.Of(family), 2200))
		must(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go echo(conn, b.Name)
			}
		}()
	}
	text := "PASV\r\n227 Entering Passive Mode (10,2,0,11,195,80).\r\nPORT 10,2,0,11,195,80\r\n" + string(content("ssh", 100_000))
	reached := map[string]bool{}
	for range 4 {
		conn, err := f.Client.Dial(t.Context(), netip.Addr{}, netip.AddrPortFrom(f.VIPs[0].Of(family), 22))
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
		go func() {
			_, _ = io.WriteString(conn, text)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		b, err := io.ReadAll(conn)
		must(t, err)
		name, rest, _ := strings.Cut(string(b), "\n")
		if reached[name] = true; rest != text {
			t.Errorf("%d bytes came back, want the %d that were sent", len(rest), len(text))
		}
		must(t, conn.Close())
	}
	if len(reached) != 2 {
		t.Errorf("connections reached %v, want both servers", reached)
	}
}

// echo says its name and sends everything back.
func echo(conn net.Conn, name string) {
	defer conn.Close()
	if _, err := io.WriteString(conn, name+"\n"); err == nil {
		_, _ = io.Copy(conn, conn)
	}
}
