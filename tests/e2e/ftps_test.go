package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/servers"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// ftpsConfig has explicit TLS on port 21 and implicit TLS on port 990 of one address, with the same two servers behind.
// The first argument is the VIP's addresses, the second snat, and then come the servers'.
const ftpsConfig = `vips:
  - {name: ftp, addresses: %[1]s, port: 21, pool: farm}
  - {name: ftps, addresses: %[1]s, port: 990, application: tcp, pool: farm-tls}
pools:
  - name: farm
    scheduler: round-robin
    source_group: all
    snat: %[2]s
    backends:
      - {name: ftp1, addresses: %[3]s, passive_ports: 50000-50999}
      - {name: ftp2, addresses: %[4]s, passive_ports: 51000-51999}
  - name: farm-tls
    scheduler: round-robin
    source_group: all
    snat: %[2]s
    backends:
      - {name: ftp1, addresses: %[3]s, passive_ports: 50000-50999}
      - {name: ftp2, addresses: %[4]s, passive_ports: 51000-51999}
`

// ftpsFarm is a farm whose servers are set up with what `ftpvip check` says.
type ftpsFarm struct {
	*farm
	vip         *vip
	certificate string
}

func newFTPSFarm(t *testing.T, kind server.Kind, arm lab.Arm, snat func(*lab.Lab) string) *ftpsFarm {
	t.Helper()
	lab.Require(t, lab.Root, lab.NFT)
	lab.Require(t, kind.Needs()...)
	if kind == server.ProFTPD {
		lab.Require(t, lab.ProFTPDTLS)
	}
	path, err := lab.FindProgram()
	must(t, err)
	l, err := lab.New(t.Context(), lab.Options{Arm: arm, Firewall: true, ClientFirewall: true})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	source := "none"
	if snat != nil {
		source = snat(l)
	}
	f := &ftpsFarm{farm: &farm{Lab: l}, vip: &vip{Farm: lab.Farm{Name: string(kind), VIP: l.VIPs[0]}}}
	f.vips = []*vip{f.vip}
	f.ftpvip, err = l.Program(path, fmt.Sprintf(ftpsConfig,
		lab.YAMLAddrs(l.VIPs[0]), source, lab.YAMLAddrs(l.Backends[0].Addrs), lab.YAMLAddrs(l.Backends[1].Addrs)))
	must(t, err)
	f.ftpvip.Log = "debug"

	var checked struct{ Passive servers.Advice }
	must(t, json.Unmarshal([]byte(f.do(t, "check", "-o", "json").Stdout), &checked))
	f.wantTheSameAsText(t, checked.Passive)
	f.nft(t, "add", "rule", "inet", "admin", "forward", "tcp dport 990 ct state new accept")
	for _, o := range checked.Passive.Firewall {
		f.nft(t, "add", "rule", "inet", "admin", "forward", o.Rule)
	}
	f.certificate = certify(t, l.Dir, l.VIPs[0])
	for i, b := range l.Backends {
		tls := server.TLS{Certificate: f.certificate}
		for _, s := range checked.Passive.Servers {
			if s.Backend == fmt.Sprintf("ftp%d", i+1) {
				tls.Advice = append(tls.Advice, s)
			}
		}
		s, err := server.StartTLS(t.Context(), l, b, kind, fmt.Sprintf("%s-%d", kind, i+1), tls)
		must(t, err)
		f.vip.servers = append(f.vip.servers, s)
	}
	f.do(t, "apply")
	f.startHelper(t)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		t.Logf("the helper's log:\n%s", f.helper.Stderr())
		for _, s := range f.vip.servers {
			t.Logf("%s's log:\n%s", s.Name, s.Log())
		}
	})
	return f
}

// wantTheSameAsText finds every line of the JSON in what an admin reads.
func (f *ftpsFarm) wantTheSameAsText(t *testing.T, a servers.Advice) {
	t.Helper()
	text := f.do(t, "check", "--servers").Stdout
	if len(a.Servers) != 4 || len(a.Firewall) != 2 {
		t.Fatalf("advice for %d servers and %d openings, want 4 and 2:\n%s", len(a.Servers), len(a.Firewall), text)
	}
	for _, s := range a.Servers {
		for _, file := range s.Files {
			if want := "\n" + strings.Join(file.Lines, "\n") + "\n"; !strings.Contains(text, want) {
				t.Errorf("check --servers does not print %q", want)
			}
		}
	}
}

// certify makes a certificate for a VIP, signed by itself, with its key in the same file.
func certify(t *testing.T, dir string, vip configs.Addrs) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, a := range vip.All() {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	path := filepath.Join(dir, "certificate.pem")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// TestFTPS moves files through two backends over TLS, explicit and implicit. Nobody on the way can read the control
// connection: the ports of the slices lead to the servers, and the servers name the VIP.
func TestFTPS(t *testing.T) {
	for _, kind := range []server.Kind{server.VSFTPD, server.ProFTPD} {
		for _, arm := range arms {
			t.Run(string(kind)+"/"+arm.name, func(t *testing.T) {
				f := newFTPSFarm(t, kind, arm.arm, arm.snat)
				f.vip.put(t, "file", content("file", fileSize))
				f.health(t, 1)
				t.Run("transfers", func(t *testing.T) {
					for _, implicit := range []bool{false, true} {
						for _, tool := range []client.Tool{client.Curl, client.LFTP} {
							for _, family := range configs.Families {
								for _, mode := range client.Modes(family) {
									if mode.Active() {
										continue // nobody can announce its connection to the firewall
									}
									name := fmt.Sprintf("implicit=%t/%s/IPv%d/%s", implicit, tool, family, mode)
									t.Run(name, func(t *testing.T) {
										t.Parallel()
										lab.Require(t, tool.Needs()...)
										f.transfer(t, tool, mode, family, implicit)
									})
								}
							}
						}
					}
				})
				for _, s := range f.vip.servers {
					uploads, err := os.ReadDir(filepath.Join(s.Root, server.UploadDir))
					must(t, err)
					if len(uploads) == 0 {
						t.Errorf("nobody landed on %s", s.Name)
					}
				}
				if n := f.figures(t).Expectations["created"]; n != 0 {
					t.Errorf("%d expectations were made: somebody read an encrypted connection", n)
				}
			})
		}
	}
}

func (f *ftpsFarm) transfer(t *testing.T, tool client.Tool, mode client.Mode, family configs.Family, implicit bool) {
	dir := t.TempDir()
	down, up, list := filepath.Join(dir, "down"), filepath.Join(dir, "up"), filepath.Join(dir, "list")
	name := fmt.Sprintf("%s-%s-IPv%d-%t", tool, mode, family, implicit)
	want := content(name, fileSize)
	must(t, os.WriteFile(up, want, 0o644))
	at := f.vip.at(family)
	if implicit {
		at = netip.AddrPortFrom(at.Addr(), server.ImplicitPort)
	}
	_, err := tool.Do(t.Context(), f.Client, client.Job{
		Mode: mode, Server: at, Limit: time.Minute, TLS: &client.TLS{CA: f.certificate, Implicit: implicit},
		Files: []client.File{
			{Operation: client.Download, Local: down, Remote: "file"},
			{Operation: client.Upload, Local: up, Remote: server.UploadDir + "/" + name},
			{Operation: client.Listing, Local: list, Remote: ""},
		},
	})
	must(t, err)
	sameFile(t, down, content("file", fileSize))
	if !bytes.Equal(f.vip.uploaded(t, name), want) {
		t.Error("the server has got something else")
	}
	if b, err := os.ReadFile(list); err != nil || !strings.Contains(string(b), "file") {
		t.Errorf("the listing is %q, %v", b, err)
	}
}

// TestActiveModeUnderTLS has servers open data connections that nobody could announce. The source group makes them come
// from the VIP all the same; that they are let out is the admin's to say.
func TestActiveModeUnderTLS(t *testing.T) {
	for _, kind := range []server.Kind{server.VSFTPD, server.ProFTPD} {
		t.Run(string(kind), func(t *testing.T) {
			f := newFTPSFarm(t, kind, lab.TwoArm, nil)
			f.vip.put(t, "file", content("file", fileSize))
			a, b := f.Backends[0].Addrs, f.Backends[1].Addrs
			for _, rule := range []string{
				fmt.Sprintf("ip saddr { %s, %s } tcp dport 1024-65535 ct state new accept", a.V4, b.V4),
				fmt.Sprintf("ip6 saddr { %s, %s } tcp dport 1024-65535 ct state new accept", a.V6, b.V6),
			} {
				f.nft(t, "add", "rule", "inet", "admin", "forward", rule)
			}
			for _, implicit := range []bool{false, true} {
				// curl 7.88 takes the connection and then does not read from it.
				lab.Require(t, client.LFTP.Needs()...)
				for _, family := range configs.Families {
					for _, mode := range client.LFTP.Modes(family) {
						if mode.Active() {
							t.Run(fmt.Sprintf("implicit=%t/IPv%d/%s", implicit, family, mode), func(t *testing.T) {
								f.transfer(t, client.LFTP, mode, family, implicit)
							})
						}
					}
				}
			}
		})
	}
}
