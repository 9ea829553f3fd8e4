package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ftpvip/configs/servers"
	"ftpvip/tests/lab"
)

// ImplicitPort is where a server with TLS listens for sessions that are encrypted from the first byte.
const ImplicitPort = 990

// TLS says how a server is to be set up for FTPS.
type TLS struct {
	Certificate string           // path of a PEM file with certificate and key
	Advice      []servers.Server // what `ftpvip check` says about this backend: the lines are taken as they are
}

// vsftpdTLS is what an admin adds besides the lines of the advice. Anonymous users are the only ones here.
const vsftpdTLS = `ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=NO
ssl_ciphers=HIGH
rsa_cert_file=%[1]s
rsa_private_key_file=%[1]s
`

// vsftpdOpenSSL keeps vsftpd 3.0.3 off TLS 1.3, where it sends session tickets on data connections: a client that uploads
// does not read them, so the end of its connection is a reset, and the server answers 426 now and then.
const vsftpdOpenSSL = `openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MaxProtocol = TLSv1.2
`

// proftpdVirtual is what a virtual server does not take over from the main one.
const proftpdVirtual = `AuthOrder mod_auth_unix.c
UseFtpUsers off
RequireValidShell off
WtmpLog off
TransferLog none
DelayEngine off
TimeoutIdle 60
`

// proftpdTLS goes into every server block.
const proftpdTLS = `TLSEngine on
TLSRequired on
TLSRSACertificateFile %[1]s
TLSRSACertificateKeyFile %[1]s
TLSOptions NoSessionReuseRequired
`

// StartTLS is Start for VSFTPD and ProFTPD with TLS: explicit on Port, implicit on ImplicitPort, as the advice has it.
func StartTLS(ctx context.Context, l *lab.Lab, b *lab.Backend, kind Kind, name string, tls TLS) (*Server, error) {
	s, err := prepare(l, b, kind, name)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(l.Dir, name)
	var command lab.Command
	switch kind {
	case VSFTPD:
		command, err = s.vsftpdTLS(base, tls)
	case ProFTPD:
		command, err = s.proftpdTLS(base, tls)
	default:
		err = fmt.Errorf("%s is not set up for TLS here", kind)
	}
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, l, command); err != nil {
		return nil, err
	}
	for _, addr := range b.Addrs.All() {
		if err := s.listens(ctx, netip.AddrPortFrom(addr, ImplicitPort)); err != nil {
			r := s.process.Kill()
			return nil, fmt.Errorf("starting %s: %w\n%s", name, err, r)
		}
	}
	return s, nil
}

// listens waits until somebody accepts connections.
func (s *Server) listens(ctx context.Context, at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		c, err := s.Backend.Dial(ctx, netip.Addr{}, at)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.process.Done():
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w", at, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// files are the pieces of the advice for a program.
func (t TLS) files(program string) (explicit, implicit []servers.File) {
	for _, s := range t.Advice {
		for _, f := range s.Files {
			switch {
			case f.Program != program:
			case s.Implicit:
				implicit = append(implicit, f)
			default:
				explicit = append(explicit, f)
			}
		}
	}
	return explicit, implicit
}

// vsftpdTLS runs one process for each piece of the advice.
func (s *Server) vsftpdTLS(base string, tls TLS) (lab.Command, error) {
	explicit, implicit := tls.files("vsftpd")
	args := []string{"sh", "-c", `while [ $# -gt 1 ]; do vsftpd "$1" & shift; done; exec vsftpd "$1"`, "sh"}
	for i, f := range slices.Concat(explicit, implicit) {
		more := fmt.Sprintf(vsftpdTLS, tls.Certificate) + strings.Join(f.Lines, "\n") + "\n"
		config, err := s.vsftpdConfig(fmt.Sprintf("%s-%d", base, i), more)
		if err != nil {
			return lab.Command{}, err
		}
		args = append(args, config)
	}
	openssl := base + ".openssl"
	return lab.Command{Args: args, Env: []string{"OPENSSL_CONF=" + openssl}}, os.WriteFile(openssl, []byte(vsftpdOpenSSL), 0o644)
}

// proftpdTLS runs one process: the main server has explicit TLS, a virtual one implicit TLS.
func (s *Server) proftpdTLS(base string, tls TLS) (lab.Command, error) {
	explicit, implicit := tls.files("proftpd")
	if len(explicit) != 1 || len(implicit) != 1 {
		return lab.Command{}, fmt.Errorf("advice for %d and %d server blocks of ProFTPD, want one each", len(explicit), len(implicit))
	}
	text, anonymous, _ := strings.Cut(s.proftpdText(base), "<Anonymous")
	anonymous = "<Anonymous" + anonymous
	block := func(f servers.File) string {
		lines := fmt.Sprintf(proftpdTLS, tls.Certificate)
		for _, line := range f.Lines {
			if options, ok := strings.CutPrefix(line, "TLSOptions "); ok { // on one line with the others
				lines = strings.Replace(lines, "TLSOptions ", "TLSOptions "+options+" ", 1)
				continue
			}
			lines += line + "\n"
		}
		return lines
	}
	text = "ModulePath " + lab.ProFTPDModules + "\nLoadModule mod_tls.c\nTLSLog " + base + ".tls\n" + text + block(explicit[0]) + anonymous +
		"<VirtualHost " + s.ownAddrs() + ">\nServerIdent on \"" + s.Name + " proftpd\"\n" +
		proftpdVirtual + block(implicit[0]) + anonymous + "</VirtualHost>\n"
	config := base + ".conf"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return lab.Command{}, err
	}
	return lab.Command{Args: []string{"proftpd", "--nodaemon", "--config", config}}, nil
}
