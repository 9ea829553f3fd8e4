package lab_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

func TestMain(m *testing.M) {
	server.MainIfChild()
	os.Exit(lab.Main(m))
}

// newLab builds a lab for the test's duration.
func newLab(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	lab.Require(t, lab.Root)
	if o.Firewall || o.ClientFirewall {
		lab.Require(t, lab.NFT)
	}
	l, err := lab.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func start(t *testing.T, l *lab.Lab, b *lab.Backend, kind server.Kind, name string) *server.Server {
	t.Helper()
	lab.Require(t, kind.Needs()...)
	s, err := server.Start(t.Context(), l, b, kind, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestLabDirect moves files between every client and every server with nothing in between: what fails here is the
// lab's fault, not ftpvip's.
func TestLabDirect(t *testing.T) {
	for _, arm := range []lab.Arm{lab.TwoArm, lab.OneArm} {
		t.Run(string(arm), func(t *testing.T) {
			l := newLab(t, lab.Options{Arm: arm, Backends: 3})
			for i, kind := range []server.Kind{server.Embedded, server.VSFTPD, server.PyFTPDlib} {
				t.Run(string(kind), func(t *testing.T) {
					s := start(t, l, l.Backends[i], kind, string(kind))
					for _, f := range configs.Families {
						to := netip.AddrPortFrom(l.Backends[i].Addrs.Of(f), server.Port)
						for _, tool := range []client.Tool{client.Curl, client.LFTP} {
							for _, mode := range tool.Modes(f) {
								t.Run(fmt.Sprintf("IPv%d/%s/%s", f, tool, mode), func(t *testing.T) {
									lab.Require(t, tool.Needs()...)
									testTool(t, l, s, tool, mode, to)
								})
							}
						}
						for _, mode := range client.Modes(f) {
							t.Run(fmt.Sprintf("IPv%d/own/%s", f, mode), func(t *testing.T) { testSession(t, l, s, mode, to) })
						}
					}
				})
			}
		})
	}
}

func testTool(t *testing.T, l *lab.Lab, s *server.Server, tool client.Tool, mode client.Mode, to netip.AddrPort) {
	want := content(300_000)
	if err := s.Put("down", want); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	list, down := filepath.Join(dir, "list"), filepath.Join(dir, "down")
	name := fmt.Sprintf("%s-%s-%s", tool, mode, to.Addr())
	_, err := tool.Do(t.Context(), l.Client, client.Job{
		Mode: mode, Server: to, Files: []client.File{
			{Operation: client.Listing, Local: list, Remote: ""},
			{Operation: client.Download, Local: down, Remote: "down"},
			{Operation: client.Upload, Local: down, Remote: server.UploadDir + "/" + name},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(list); err != nil || !strings.Contains(string(b), "down") {
		t.Errorf("listing: %v\n%s", err, b)
	}
	if b, err := os.ReadFile(down); err != nil || !bytes.Equal(b, want) {
		t.Errorf("download: %v, %d bytes", err, len(b))
	}
	if b, err := s.Uploaded(name); err != nil || !bytes.Equal(b, want) {
		t.Errorf("upload: %v, %d bytes", err, len(b))
	}
}

func testSession(t *testing.T, l *lab.Lab, s *server.Server, mode client.Mode, to netip.AddrPort) {
	want := content(300_000)
	c, err := client.Dial(t.Context(), l.Client, netip.Addr{}, to)
	if err != nil {
		t.Fatal(err)
	}
	name := server.UploadDir + "/own" + string(mode) + to.Addr().String()
	up, err := c.Upload(t.Context(), mode, name, bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	down, err := c.Download(t.Context(), mode, name, sum)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", sum.Sum(nil)), fmt.Sprintf("%x", sha256.Sum256(want)); got != want {
		t.Errorf("download: SHA-256 %s, want %s", got, want)
	}
	var list bytes.Buffer
	if _, err := c.List(t.Context(), mode, &list); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list.String(), server.UploadDir) {
		t.Errorf("listing: %q", &list)
	}
	for _, x := range []client.Transfer{up, down} {
		if x.Peer.Addr() != to.Addr() || x.Bytes != int64(len(want)) {
			t.Errorf("%+v", x)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if s.Kind != server.Embedded {
		return
	}
	for _, x := range []client.Transfer{up, down, {Mode: mode}} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		e, err := s.Saw(ctx, c.Name())
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if x.Local.IsValid() && (e.Control != c.Local() || e.Peer != x.Local || e.Local != x.Peer) {
			t.Errorf("server saw %+v, client saw %+v", e, x)
		}
	}
}
