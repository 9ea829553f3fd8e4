package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"

	"ftpvip/tests/lab"
)

// childEnv holds the settings of an embedded server, in the process that runs it.
const childEnv = "FTPVIP_LAB_FTPD"

// settings are an embedded server's.
type settings struct {
	Name  string
	Root  string
	Addrs []netip.AddrPort
}

// embedded is this very program, run once more: MainIfChild does the rest.
func (s *Server) embedded() (lab.Command, error) {
	set := settings{Name: s.Name, Root: s.Root}
	for _, addr := range s.Backend.Addrs.All() {
		set.Addrs = append(set.Addrs, netip.AddrPortFrom(addr, Port))
	}
	text, err := json.Marshal(set)
	if err != nil {
		return lab.Command{}, err
	}
	return lab.Command{
		Args:   []string{"/proc/self/exe"},
		Env:    []string{childEnv + "=" + string(text)},
		Stdout: s.events,
	}, nil
}

// MainIfChild runs an embedded server and exits, in a process that was started to be one; elsewhere it does
// nothing. A program that starts embedded servers calls it first thing in main.
func MainIfChild() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintf(os.Stderr, "embedded FTP server: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve serves until it is killed.
func serve(text string) error {
	var set settings
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return err
	}
	ended := make(chan error, len(set.Addrs))
	report := &report{out: json.NewEncoder(os.Stdout)}
	for _, at := range set.Addrs {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			return err
		}
		d := &driver{name: set.Name, fs: afero.NewBasePathFs(afero.NewOsFs(), set.Root), listener: l, report: report}
		ftp := ftpserver.NewFtpServer(d)
		ftp.Logger = slog.New(&tap{driver: d})
		go func() { ended <- ftp.ListenAndServe() }()
	}
	return <-ended
}

// driver is what ftpserverlib asks.
type driver struct {
	name     string
	fs       afero.Fs
	listener net.Listener
	report   *report
	clients  sync.Map // client number -> ftpserver.ClientContext
}

// GetSettings implements ftpserver.MainDriver.
func (d *driver) GetSettings() (*ftpserver.Settings, error) {
	return &ftpserver.Settings{
		Listener:            d.listener,
		ConnectionTimeout:   5,
		IdleTimeout:         60,
		DefaultTransferType: ftpserver.TransferTypeBinary,
	}, nil
}

// ClientConnected implements ftpserver.MainDriver.
func (d *driver) ClientConnected(cc ftpserver.ClientContext) (string, error) {
	cc.SetDebug(true) // makes the library log what tap looks for
	d.clients.Store(cc.ID(), cc)
	return d.name + " embedded", nil
}

// ClientDisconnected implements ftpserver.MainDriver.
func (d *driver) ClientDisconnected(cc ftpserver.ClientContext) { d.clients.Delete(cc.ID()) }

// AuthUser implements ftpserver.MainDriver: everybody is welcome.
func (d *driver) AuthUser(cc ftpserver.ClientContext, _, pass string) (ftpserver.ClientDriver, error) {
	cc.SetExtra(pass)
	return d.fs, nil
}

// GetTLSConfig implements ftpserver.MainDriver.
func (d *driver) GetTLSConfig() (*tls.Config, error) { return nil, errors.New("no TLS here") }

// tap is a log handler that turns the library's "Transfer connection opened" into an event: the library shows its
// data connections nowhere else.
type tap struct {
	driver *driver
	client uint32
}

// Enabled implements slog.Handler.
func (t *tap) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup implements slog.Handler.
func (t *tap) WithGroup(string) slog.Handler { return t }

// WithAttrs implements slog.Handler; the library gives each client a logger with its number.
func (t *tap) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "clientId" {
			return &tap{driver: t.driver, client: uint32(a.Value.Uint64())}
		}
	}
	return t
}

// Handle implements slog.Handler.
func (t *tap) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		fmt.Fprintf(os.Stderr, "%s", r.Message)
		r.Attrs(func(a slog.Attr) bool {
			fmt.Fprintf(os.Stderr, " %s", a)
			return true
		})
		fmt.Fprintln(os.Stderr)
	}
	if r.Message != "Transfer connection opened" {
		return nil
	}
	var e Event
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "remoteAddr":
			e.Peer = addrPort(a.Value.String())
		case "localAddr":
			e.Local = addrPort(a.Value.String())
		}
		return true
	})
	if cc, ok := t.driver.clients.Load(t.client); ok {
		cc := cc.(ftpserver.ClientContext)
		e.Control = addrPort(cc.RemoteAddr().String())
		e.Client, _ = cc.Extra().(string)
	}
	t.driver.report.write(e)
	return nil
}

// addrPort parses what net.Addr prints; the zero value stands for nonsense.
func addrPort(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
