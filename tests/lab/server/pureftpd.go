package server

import (
	"fmt"
	"os"

	"ftpvip/tests/lab"
)

// pureftpdScript runs Pure-FTPd where /etc/passwd is another file: the home of its user ftp is what it serves.
const pureftpdScript = `mount --bind "$1" /etc/passwd && shift && exec pure-ftpd "$@"`

func (s *Server) pureftpd(base string) (lab.Command, error) {
	passwd, banner := base+".passwd", base+".banner"
	users := "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\nftp:x:65534:65534::" + s.Root + ":/bin/sh\n"
	if err := os.WriteFile(passwd, []byte(users), 0o644); err != nil {
		return lab.Command{}, err
	}
	if err := os.WriteFile(banner, []byte(s.Name+" pure-ftpd\n"), 0o644); err != nil {
		return lab.Command{}, err
	}
	return lab.Command{Args: []string{
		"unshare", "--mount", "sh", "-c", pureftpdScript, "sh", passwd,
		"--bind", fmt.Sprint(Port), "--anonymousonly", "--fortunesfile", banner, "--dontresolve",
		"--maxclientsperip", "100", "--maxclientsnumber", "200", "--pidfile", base + ".pid",
	}}, nil
}
