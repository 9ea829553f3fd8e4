package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// subject is a server under test, on a host of its own.
type subject struct {
	name  string
	kind  server.Kind                         // one that the lab knows, or
	needs string                              // a file below the folder of fetched servers, and
	run   func(have, root string) lab.Command // how to run it

	backend *lab.Backend
	at      netip.AddrPort
	opened  int    // connections, when calls was asked last
	usual   result // what is drawn by LIST alone, after a NOOP
}

// withFiles runs a program that reads an /etc of its own: $1 lies over it.
const withFiles = `mount --bind "$1" /etc && shift && exec "$@"`

// inetd runs a program for each connection, with the connection as its standard input and output. The library that
// package netkit links is in the folder of fetched servers.
func inetd(have, root string, args ...string) lab.Command {
	return lab.Command{
		Args: append([]string{
			"unshare", "--mount", "sh", "-c", withFiles, "sh", filepath.Join(root, "..", "etc"),
			filepath.Join(have, "busybox"), "tcpsvd", "-c", "100", "0", "21",
		}, args...),
		Env: []string{"LD_LIBRARY_PATH=" + libraries(have)},
	}
}

func libraries(have string) string {
	return filepath.Join(have, "root/usr/lib/x86_64-linux-gnu") + ":" + filepath.Join(have, "root/lib/x86_64-linux-gnu")
}

// tcllib's server, for anonymous users.
const tcllib = `package require ftpd
set ::ftpd::port 21
::ftpd::config -logCmd list
set ::ftpd::cwd [lindex $argv 0]
::ftpd::server
vwait forever
`

// subjects is the table of servers.
func subjects() []*subject {
	return []*subject{
		{name: "vsftpd", kind: server.VSFTPD},
		{name: "ProFTPD", kind: server.ProFTPD},
		{name: "Pure-FTPd", kind: server.PureFTPd},
		{name: "pyftpdlib", kind: server.PyFTPDlib},
		{name: "ftpserverlib", kind: server.Embedded},
		{name: "goftp.io", needs: "goftp", run: func(have, root string) lab.Command {
			return lab.Command{Args: []string{filepath.Join(have, "goftp"), root}}
		}},
		{name: "inetutils", needs: "root/usr/sbin/ftpd", run: func(have, root string) lab.Command {
			return inetd(have, root, filepath.Join(have, "root/usr/sbin/ftpd"))
		}},
		{name: "netkit", needs: "root/usr/sbin/in.ftpd", run: func(have, root string) lab.Command {
			return inetd(have, root, filepath.Join(have, "root/usr/sbin/in.ftpd"))
		}},
		{name: "busybox", needs: "busybox", run: func(have, root string) lab.Command {
			return inetd(have, root, filepath.Join(have, "busybox"), "ftpd", "-A", "-v", root)
		}},
		{name: "tcllib", needs: "root/usr/share/tcltk", run: func(have, root string) lab.Command {
			return lab.Command{Args: []string{"tclsh", "/dev/stdin", root}, Stdin: strings.NewReader(tcllib),
				Env: []string{"TCLLIBPATH=" + filepath.Join(have, "root/usr/share/tcltk")}}
		}},
		{name: "twisted", needs: "root/usr/lib/python3/dist-packages/twisted", run: func(have, root string) lab.Command {
			return lab.Command{Args: []string{lab.Python, "-m", "twisted", "ftp", "-p", "21", "-r", root},
				Env: []string{"PYTHONPATH=" + filepath.Join(have, "root/usr/lib/python3/dist-packages")}}
		}},
		{name: "ftp-srv", needs: "ftpsrv/node_modules/ftp-srv", run: func(have, root string) lab.Command {
			return lab.Command{Args: []string{"node", filepath.Join(have, "ftpsrv/node_modules/ftp-srv/bin/index.js"), "ftp://0.0.0.0:21", "--root", root}}
		}},
	}
}

var errMissing = errors.New("not here")

// start starts the server on backend b.
func (s *subject) start(ctx context.Context, l *lab.Lab, b *lab.Backend, have string) error {
	s.backend, s.at = b, netip.AddrPortFrom(b.Addrs.V4, 21)
	if s.run == nil {
		for _, f := range s.kind.Needs() {
			if err := f.Check(); err != nil {
				return fmt.Errorf("%w: %w", errMissing, err)
			}
		}
		if _, err := server.Start(ctx, l, b, s.kind, s.name); err != nil {
			return err
		}
		return s.watch(ctx)
	}
	if _, err := os.Stat(filepath.Join(have, s.needs)); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	folder, err := l.Mkdir(s.name)
	if err != nil {
		return err
	}
	root := filepath.Join(folder, "pub")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := etc(filepath.Join(filepath.Dir(root), "etc"), root); err != nil {
		return err
	}
	c := s.run(have, root)
	if _, err := exec.LookPath(c.Args[0]); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	p, err := b.Start(l.Context(), c)
	if err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := login(ctx, l, s.at)
		if err == nil {
			conn.Close()
			return s.watch(ctx)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w\n%s", err, p.Kill())
		}
	}
}

// etc is a copy of /etc in which user ftp lives in root and PAM lets everybody in.
func etc(to, root string) error {
	if out, err := exec.Command("cp", "-a", "/etc", to).CombinedOutput(); err != nil {
		return fmt.Errorf("copying /etc: %w\n%s", err, out)
	}
	files := map[string]string{
		"passwd":        "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\nftp:x:65534:65534::" + root + ":/bin/sh\n",
		"pam.d/ftp":     "auth required pam_ftp.so\nauth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
		"ftpusers":      "",
		"hosts":         "127.0.0.1 localhost\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
		"shells":        "/bin/sh\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// calledRules keeps where this host opens connections to.
const calledRules = `table inet called {
	set to4 { typeof ip daddr . tcp dport; flags dynamic; size 1000; }
	set to6 { typeof ip6 daddr . tcp dport; flags dynamic; size 1000; }
	chain out {
		type filter hook output priority 0
		tcp flags & (syn|ack) == syn add @to4 { ip daddr . tcp dport }
		tcp flags & (syn|ack) == syn add @to6 { ip6 daddr . tcp dport }
	}
}
`

func (s *subject) watch(ctx context.Context) error {
	n, err := s.opens()
	if err != nil {
		return err
	}
	s.opened = n
	r, err := s.backend.Run(ctx, lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(calledRules)})
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	return err
}

// opens is how many connections the server's host has opened.
func (s *subject) opens() (n int, err error) {
	var text []byte
	if err := s.backend.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			return strconv.Atoi(fields[slices.Index(names, "ActiveOpens")])
		}
	}
	return 0, errors.New("the kernel does not count opened connections")
}

// calls lists where the server opened connections to since it was asked last.
func (s *subject) calls(ctx context.Context) ([]string, error) {
	n, err := s.opens()
	if err != nil || n == s.opened {
		return nil, err // nft is slow
	}
	s.opened = n
	script := `nft list set inet called to4 && nft list set inet called to6 && nft flush set inet called to4 && nft flush set inet called to6`
	r, err := s.backend.Run(ctx, lab.Command{Args: []string{"sh", "-c", script}})
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, part := range strings.Split(r.Stdout, "elements = {")[1:] {
		inner, _, _ := strings.Cut(part, "}")
		for e := range strings.SplitSeq(inner, ",") {
			list = append(list, strings.ReplaceAll(strings.TrimSpace(e), " . ", ":"))
		}
	}
	return list, nil
}
