package server

import (
	_ "embed" // for the script
	"fmt"
	"os"

	"ftpvip/tests/lab"
)

// vsftpdConfig is for one process that listens in both families. The sandboxes are off because the lab is one.
const vsftpdConfig = `listen=NO
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
	empty := base + ".empty"
	if err := os.MkdirAll(empty, 0o555); err != nil {
		return lab.Command{}, err
	}
	config := base + ".conf"
	text := fmt.Sprintf(vsftpdConfig, Port, s.Name, s.Root, empty)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return lab.Command{}, err
	}
	return lab.Command{Args: []string{"vsftpd", config}}, nil
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
