package server

import (
	"fmt"
	"os"
	"strings"

	"ftpvip/tests/lab"
)

// proftpdConfig needs no module that is not built in.
const proftpdConfig = `ServerType standalone
ServerName lab
DefaultServer on
ServerIdent on "%[1]s proftpd"
DefaultAddress %[2]s
Port %[3]d
UseIPv6 on
UseReverseDNS off
User nobody
Group nogroup
PidFile %[4]s.pid
ScoreboardFile %[4]s.score
SystemLog %[4]s.log
TransferLog none
WtmpLog off
UseFtpUsers off
DelayEngine off
RequireValidShell off
AuthOrder mod_auth_unix.c
MaxInstances 200
TimeoutIdle 60
<Anonymous %[5]s>
  User nobody
  Group nogroup
  UserAlias anonymous nobody
  RequireValidShell off
  AnonRequirePassword off
  AllowOverwrite on
  Umask 022
</Anonymous>
`

func (s *Server) proftpd(base string) (lab.Command, error) {
	config := base + ".conf"
	if err := os.WriteFile(config, []byte(s.proftpdText(base)), 0o644); err != nil {
		return lab.Command{}, err
	}
	return lab.Command{Args: []string{"proftpd", "--nodaemon", "--config", config}}, nil
}

// proftpdText is the configuration without TLS. Its last part is for anonymous users.
func (s *Server) proftpdText(base string) string {
	return fmt.Sprintf(proftpdConfig, s.Name, s.ownAddrs(), Port, base, s.Root)
}

// ownAddrs lists the backend's addresses.
func (s *Server) ownAddrs() string {
	var addrs []string
	for _, a := range s.Backend.Addrs.All() {
		addrs = append(addrs, a.String())
	}
	return strings.Join(addrs, " ")
}
