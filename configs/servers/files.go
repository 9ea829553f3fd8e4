package servers

import (
	"fmt"
	"net/netip"
)

// ftpPort is where servers listen by themselves.
const ftpPort = 21

// files are the pieces for each program.
func files(s *Server) []File {
	list := vsftpd(s)
	list = append(list, proftpd(s))
	if !s.Implicit { // Pure-FTPd has no implicit TLS
		list = append(list, pureftpd(s))
	}
	return append(list, other(s))
}

// other is what to look for in the settings of any other server.
func other(s *Server) File {
	f := File{Program: "any other server", Name: "its settings", Remarks: []string{"whatever the settings are called there"}}
	if s.Named.IsValid() {
		f.Lines = append(f.Lines, fmt.Sprintf("address that replies to PASV name (external, public or masquerade address): %s", s.Named))
	}
	f.Lines = append(f.Lines, fmt.Sprintf("ports of passive data connections: %d-%d", s.First, s.Last))
	if s.Implicit {
		f.Lines = append(f.Lines, fmt.Sprintf("implicit TLS on port %d", s.port))
	}
	return f
}

// vsftpd takes pasv_address only where it listens in IPv4 alone: a process that listens in both families answers PASV
// with 0,0,0,0 (postlogin.c, handle_pasv). So there is one for each family.
func vsftpd(s *Server) []File {
	var list []File
	both := s.addrs.V4.IsValid() && s.addrs.V6.IsValid()
	common := func() (lines []string) {
		if s.port != ftpPort {
			lines = append(lines, fmt.Sprintf("listen_port=%d", s.port))
		}
		if s.Implicit {
			lines = append(lines, "implicit_ssl=YES")
		}
		return append(lines, fmt.Sprintf("pasv_min_port=%d", s.First), fmt.Sprintf("pasv_max_port=%d", s.Last))
	}
	if own := s.addrs.V4; own.IsValid() {
		f := File{Program: "vsftpd", Name: "vsftpd.conf", Lines: []string{"listen=YES", "listen_ipv6=NO"}}
		f.Remarks = []string{"with listen_ipv6=YES, which Debian ships, vsftpd would answer PASV with 0,0,0,0"}
		if both {
			f.Family = 4
			f.Lines = append(f.Lines, "listen_address="+own.String())
		}
		f.Lines = append(f.Lines, "pasv_address="+s.Named.String())
		f.Lines = append(f.Lines, common()...)
		list = append(list, f)
	}
	if own := s.addrs.V6; own.IsValid() {
		f := File{Program: "vsftpd", Name: "vsftpd.conf", Lines: []string{"listen=NO", "listen_ipv6=YES"}}
		if both {
			f.Family, f.Name = 6, "vsftpd-ipv6.conf"
			f.Lines = append(f.Lines, "listen_address6="+own.String())
			f.Remarks = []string{"a second process: EPSV names no address, so it needs the ports alone"}
		}
		f.Lines = append(f.Lines, common()...)
		list = append(list, f)
	}
	return list
}

func proftpd(s *Server) File {
	f := File{Program: "proftpd", Name: "proftpd.conf"}
	if s.port != ftpPort {
		f.Lines = append(f.Lines, fmt.Sprintf("Port %d", s.port))
	}
	if s.Named.IsValid() {
		f.Lines = append(f.Lines, "MasqueradeAddress "+s.Named.String())
	}
	f.Lines = append(f.Lines, fmt.Sprintf("PassivePorts %d %d", s.First, s.Last))
	if s.Implicit {
		f.Lines = append(f.Lines, "TLSOptions UseImplicitSSL")
		f.Remarks = []string{"in a <VirtualHost> of its own; further TLSOptions go on the same line"}
	}
	return f
}

func pureftpd(s *Server) File {
	f := File{Program: "pure-ftpd", Name: "pure-ftpd.conf", Remarks: []string{
		"on Debian each is a file in /etc/pure-ftpd/conf, named by the first word, with the rest as its content",
	}}
	if s.port != ftpPort {
		f.Lines = append(f.Lines, fmt.Sprintf("Bind %s,%d", bindAddr(s.addrs.V4), s.port))
	}
	if s.Named.IsValid() {
		f.Lines = append(f.Lines, "ForcePassiveIP "+s.Named.String())
	}
	f.Lines = append(f.Lines, fmt.Sprintf("PassivePortRange %d %d", s.First, s.Last))
	return f
}

// bindAddr is the address part of Bind: nothing stands for all.
func bindAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
