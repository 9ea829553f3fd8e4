package server

import (
	_ "embed" // for the script
	"fmt"
	"os"

	"ftpvip/tests/lab"
)

// vsftpdSettings are for one process that listens in both families. The sandboxes are off because the lab is one.
const vsftpdSettings = `listen=NO
listen_ipv6=YES
listen_port=%d
background=NO
ftpd_banner=%s vsftpd
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
anon_root=%s
nopriv_user=nobody
secure_chroot_dir=%s
write_enable=YES
anon_upload_enable=YES
anon_umask=022
connect_from_port_20=YES
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
xferlog_enable=NO
`

func (s *Server) vsftpd(base string) (lab.Command, error) {
	config, err := s.vsftpdConfig(base, "")
	return lab.Command{Args: []string{"vsftpd", config}}, err
}

// vsftpdConfig writes a configuration; more comes last, and so overrides.
func (s *Server) vsftpdConfig(base, more string) (path string, err error) {
	empty := base + ".empty"
	if err := os.MkdirAll(empty, 0o555); err != nil {
		return "", err
	}
	path = base + ".conf"
	text := fmt.Sprintf(vsftpdSettings, Port, s.Name, s.Root, empty) + more
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// vsftpdNamesVIP runs a process for each family: one that listens in both says 0.0.0.0 for pasv_address. All
// backends have the same few data ports, so that only the balancer can keep the data ports of a VIP apart. vsftpd gives up
// where it has found ten of them in use by chance, so a dozen sessions need four times as many.
func (s *Server) vsftpdNamesVIP(base string) (lab.Command, error) {
	const first = 40_000
	ports := fmt.Sprintf("pasv_min_port=%d\npasv_max_port=%d\n", first, first+47)
	v4, err := s.vsftpdConfig(base+"-4", ports+
		fmt.Sprintf("listen=YES\nlisten_ipv6=NO\nlisten_address=%s\npasv_address=%s\n", s.Backend.Addrs.V4, s.vip))
	if err != nil {
		return lab.Command{}, err
	}
	v6, err := s.vsftpdConfig(base+"-6", ports+fmt.Sprintf("listen_address6=%s\n", s.Backend.Addrs.V6))
	return lab.Command{Args: []string{"sh", "-c", `vsftpd "$1" & exec vsftpd "$2"`, "sh", v6, v4}}, err
}

//go:embed pyftpdlib.py
var pyftpdlibScript string

func (s *Server) pyftpdlib() (lab.Command, error) {
	args := []string{lab.Python, "-c", pyftpdlibScript, s.Name, s.Root, fmt.Sprint(Port)}
	for _, addr := range s.Backend.Addrs.All() {
		args = append(args, addr.String())
	}
	return lab.Command{Args: args}, nil
}
