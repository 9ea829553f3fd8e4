package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// carriers that a configuration may name.
var carriers = []configs.Carrier{configs.CarrierSane, configs.CarrierCTHelper}

// arms are the ways in which the balancer may sit in the network.
var arms = []struct {
	name string
	arm  lab.Arm
	snat func(*lab.Lab) string
}{
	{"two-arm", lab.TwoArm, nil},
	{"one-arm masquerade", lab.OneArm, func(*lab.Lab) string { return "masquerade" }},
	{"one-arm address", lab.OneArm, func(l *lab.Lab) string { return lab.YAMLAddrs(l.BalancerSNAT) }},
}

// fileSize of a transfer: more than a socket's buffer at its smallest, and no multiple of anything.
const fileSize = 300_001

// TestTransfers moves files through VIPs with real servers and real clients, in every mode that they have.
func TestTransfers(t *testing.T) {
	for _, carrier := range carriers {
		for _, arm := range arms {
			t.Run(string(carrier)+"/"+arm.name, func(t *testing.T) {
				f := newFarm(t, arrangement{
					kinds: []server.Kind{server.VSFTPD, server.PyFTPDlib}, arm: arm.arm, snat: arm.snat, carrier: carrier,
				})
				for _, v := range f.vips {
					v.put(t, "file", content("file", fileSize))
					for _, family := range configs.Families {
						for _, tool := range []client.Tool{client.Curl, client.LFTP} {
							for _, mode := range tool.Modes(family) {
								name := fmt.Sprintf("%s/%s/IPv%d/%s", v.Name, tool, family, mode)
								t.Run(name, func(t *testing.T) {
									t.Parallel()
									lab.Require(t, tool.Needs()...)
									testOperations(t, f, v, tool, mode, family)
								})
							}
						}
					}
				}
			})
		}
	}
}

// testOperations does all operations in one session.
func testOperations(t *testing.T, f *farm, v *vip, tool client.Tool, mode client.Mode, family configs.Family) {
	dir := t.TempDir()
	down, up, list := filepath.Join(dir, "down"), filepath.Join(dir, "up"), filepath.Join(dir, "list")
	name := fmt.Sprintf("%s-%s-IPv%d", tool, mode, family)
	want := content(name, fileSize)
	must(t, os.WriteFile(up, want, 0o644))
	_, err := tool.Do(t.Context(), f.Client, client.Job{
		Mode: mode, Server: v.at(family), Files: []client.File{
			{Operation: client.Download, Local: down, Remote: "file"},
			{Operation: client.Upload, Local: up, Remote: server.UploadDir + "/" + name},
			{Operation: client.Listing, Local: list, Remote: ""},
		},
	})
	must(t, err)
	t.Run("download", func(t *testing.T) { sameFile(t, down, content("file", fileSize)) })
	t.Run("upload", func(t *testing.T) {
		if !bytes.Equal(v.uploaded(t, name), want) {
			t.Error("the server has got something else")
		}
	})
	t.Run("listing", func(t *testing.T) {
		b, err := os.ReadFile(list)
		must(t, err)
		for _, want := range []string{"file", server.UploadDir, strconv.Itoa(fileSize)} {
			if !strings.Contains(string(b), want) {
				t.Errorf("no %s in the listing:\n%s", want, b)
			}
		}
	})
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(b, want) {
		t.Errorf("%s has %d bytes, want %d, or others", filepath.Base(path), len(b), len(want))
	}
}

// TestWhatBothSidesSee holds the client's view of each data connection against the server's.
func TestWhatBothSidesSee(t *testing.T) {
	for _, carrier := range carriers {
		for _, arm := range arms {
			t.Run(string(carrier)+"/"+arm.name, func(t *testing.T) {
				f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, carrier: carrier})
				for _, family := range configs.Families {
					for _, mode := range client.Modes(family) {
						if mode == client.PORT && arm.name == "one-arm masquerade" {
							// 10,2,0,1 is shorter than the client's address, so PORT's argument is filled up
							// with zeros, and to ftpserverlib 10,2,000,001 is no address. The real servers of
							// TestTransfers take it.
							continue
						}
						t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) { testViews(t, f, mode, family) })
					}
				}
			})
		}
	}
}

func testViews(t *testing.T, f *farm, mode client.Mode, family configs.Family) {
	v := f.vips[0]
	s := f.dial(t, v, netip.Addr{}, family)
	transfer, err := s.Upload(t.Context(), mode, server.UploadDir+"/"+string(mode), strings.NewReader("hello"))
	must(t, err)

	if got := transfer.Peer.Addr(); got != v.at(family).Addr() {
		t.Errorf("client saw %s, want the VIP", got)
	}
	if got := transfer.Announced.Addr(); !mode.Active() && got != v.at(family).Addr() {
		t.Errorf("the reply named %s, want the VIP", got)
	}
	want := s.Local().Addr() // what the server is to see
	switch {
	case f.Arm == lab.TwoArm:
	case v.SNAT == "masquerade":
		want = f.BalancerLAN.Of(family)
	default:
		want = f.BalancerSNAT.Of(family)
	}
	for _, backend := range v.servers {
		if !backend.Greets(s.Banner) {
			continue
		}
		saw, err := backend.Saw(soon(t), s.Name())
		must(t, err)
		if saw.Peer.Addr() != want || saw.Control.Addr() != want {
			t.Errorf("server saw control %s and data %s, want %s", saw.Control, saw.Peer, want)
		}
		return
	}
	t.Fatalf("no server greets with %q", s.Banner)
}

// many is how often one control connection is used, for files of smallSize.
const (
	many      = 20
	smallSize = 10_001
)

// TestManyTransfersOnOneConnection uses one control connection again and again.
func TestManyTransfersOnOneConnection(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(string(carrier), func(t *testing.T) {
			f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}, carrier: carrier})
			for _, v := range f.vips {
				v.put(t, "file", content("file", smallSize))
				for _, family := range configs.Families {
					for _, tool := range []client.Tool{client.Curl, client.LFTP} {
						for _, mode := range tool.Modes(family) {
							t.Run(fmt.Sprintf("%s/%s/IPv%d/%s", v.Name, tool, family, mode), func(t *testing.T) {
								t.Parallel()
								lab.Require(t, tool.Needs()...)
								testMany(t, f, v, tool, mode, family)
							})
						}
					}
					t.Run(fmt.Sprintf("%s/own/IPv%d/all modes in turn", v.Name, family), func(t *testing.T) {
						t.Parallel()
						testInTurn(t, f, v, family)
					})
				}
			}
		})
	}
}

func testMany(t *testing.T, f *farm, v *vip, tool client.Tool, mode client.Mode, family configs.Family) {
	j := client.Job{Mode: mode, Server: v.at(family)}
	dir := t.TempDir()
	for i := range many {
		j.Files = append(j.Files, client.File{
			Operation: client.Download, Local: filepath.Join(dir, strconv.Itoa(i)), Remote: "file",
		})
	}
	_, err := tool.Do(t.Context(), f.Client, j)
	must(t, err)
	for _, file := range j.Files {
		sameFile(t, file.Local, content("file", smallSize))
	}
}

func testInTurn(t *testing.T, f *farm, v *vip, family configs.Family) {
	s := f.dial(t, v, netip.Addr{}, family)
	modes := client.Modes(family)
	for i := range many {
		mode := modes[i%len(modes)]
		name := fmt.Sprintf("turn-IPv%d-%d", family, i)
		want := content(name, 1000+i)
		_, err := s.Upload(t.Context(), mode, server.UploadDir+"/"+name, bytes.NewReader(want))
		must(t, err)
		var got bytes.Buffer
		_, err = s.Download(t.Context(), mode, server.UploadDir+"/"+name, &got)
		must(t, err)
		if !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("transfer %d, %s: content differs", i, mode)
		}
	}
	must(t, s.Close())
}
