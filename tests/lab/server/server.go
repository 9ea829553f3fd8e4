// Package server runs FTP servers on the backends of a lab: the embedded one, which needs no package and tells what
// it saw, and those that people really run.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftpvip/tests/lab"
)

// UploadDir is the folder below every server's root that an anonymous user may write to.
const UploadDir = "in"

// Port is where all servers listen, on the backend's addresses of both families.
const Port = 21

// Kind is a server program.
type Kind string

// The kinds.
const (
	Embedded  Kind = "embedded"
	VSFTPD    Kind = "vsftpd"
	PyFTPDlib Kind = "pyftpdlib"
	ProFTPD   Kind = "proftpd"
	PureFTPd  Kind = "pure-ftpd"
	// VSFTPDNamesVIP is vsftpd with pasv_address: its replies to PASV name the lab's first VIP.
	VSFTPDNamesVIP Kind = "vsftpd-vip"
)

// Needs lists what a machine must have to run the server.
func (k Kind) Needs() []lab.Feature {
	switch k {
	case VSFTPD, VSFTPDNamesVIP:
		return []lab.Feature{lab.VSFTPD}
	case ProFTPD:
		return []lab.Feature{lab.ProFTPD}
	case PureFTPd:
		return []lab.Feature{lab.PureFTPd}
	case PyFTPDlib:
		return []lab.Feature{lab.PyFTPDlib}
	case Embedded:
	}
	return nil
}

// Server is an FTP server that runs on one backend, for anonymous users, in files of its own.
type Server struct {
	Name    string // its banner begins with this
	Kind    Kind
	Root    string // the folder that it serves
	Backend *lab.Backend

	vip     netip.Addr // the lab's first, IPv4
	process *lab.Process
	events  *events
}

// Start starts a server and waits until it answers in both families. Its root, below the lab's folder and named as
// the server, is made if need be and kept when it stops.
func Start(ctx context.Context, l *lab.Lab, b *lab.Backend, kind Kind, name string) (*Server, error) {
	s, err := prepare(l, b, kind, name)
	if err != nil {
		return nil, err
	}
	command, err := s.command(filepath.Join(l.Dir, name))
	if err != nil {
		return nil, err
	}
	return s, s.run(ctx, l, command)
}

// prepare makes the folders.
func prepare(l *lab.Lab, b *lab.Backend, kind Kind, name string) (*Server, error) {
	root, err := l.Mkdir(name)
	if err != nil {
		return nil, err
	}
	in := filepath.Join(root, UploadDir)
	if err := os.MkdirAll(in, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(in, 0o777); err != nil { // whatever the umask
		return nil, err
	}
	return &Server{Name: name, Kind: kind, Root: root, Backend: b, vip: l.VIPs[0].V4, events: newEvents()}, nil
}

// run starts the server and waits until it answers.
func (s *Server) run(ctx context.Context, l *lab.Lab, command lab.Command) (err error) {
	if s.process, err = s.Backend.Start(l.Context(), command); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		r := s.process.Kill()
		return fmt.Errorf("starting %s: %w\n%s", s.Name, err, r)
	}
	return nil
}

// command says how to run the server; files for it are named base and something.
func (s *Server) command(base string) (lab.Command, error) {
	switch s.Kind {
	case Embedded:
		return s.embedded()
	case VSFTPD:
		return s.vsftpd(base)
	case VSFTPDNamesVIP:
		return s.vsftpdNamesVIP(base)
	case ProFTPD:
		return s.proftpd(base)
	case PureFTPd:
		return s.pureftpd(base)
	case PyFTPDlib:
		return s.pyftpdlib()
	}
	return lab.Command{}, fmt.Errorf("no such kind of server: %q", s.Kind)
}

// ready waits until the server greets, in both families.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, addr := range s.Backend.Addrs.All() {
		for {
			err := s.greets(ctx, addr)
			if err == nil {
				break
			}
			select {
			case <-s.process.Done():
				return errors.New("it ended at once")
			case <-ctx.Done():
				return fmt.Errorf("%s does not answer: %w", addr, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func (s *Server) greets(ctx context.Context, addr netip.Addr) error {
	c, err := s.Backend.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(addr, Port))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	if got := string(b[:n]); !strings.HasPrefix(got, "220 "+s.Name) && !strings.HasPrefix(got, "220-"+s.Name) {
		return fmt.Errorf("it greets with %q", got)
	}
	_, _ = c.Write([]byte("QUIT\r\n"))
	return nil
}

// Kill ends the server with all its sessions, as a crash would.
func (s *Server) Kill() { s.process.Kill() }

// Log returns what the server wrote to its standard error.
func (s *Server) Log() string { return s.process.Stderr() }

// Put puts a file into the server's root, for download.
func (s *Server) Put(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.Root, name), content, 0o644)
}

// Uploaded returns a file that was uploaded.
func (s *Server) Uploaded(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.Root, UploadDir, name))
}

// Greets reports whether a greeting is this server's.
func (s *Server) Greets(banner string) bool { return strings.HasPrefix(banner, s.Name+" ") }
