// Package client has FTP clients that run in a namespace of the lab: a small one of our own that returns which
// addresses it saw, and curl and lftp.
package client

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
)

// Mode is how a data connection is opened.
type Mode string

// The modes.
const (
	PASV Mode = "PASV" // RFC 959, the server listens
	PORT Mode = "PORT" // RFC 959, the client listens
	EPSV Mode = "EPSV" // RFC 2428, the server listens
	EPRT Mode = "EPRT" // RFC 2428, the client listens
)

// Active reports whether the server opens the data connection.
func (m Mode) Active() bool { return m == PORT || m == EPRT }

// Modes lists the modes that a family has: PASV and PORT can only name IPv4 addresses.
func Modes(f configs.Family) []Mode {
	if f == configs.IPv4 {
		return []Mode{PASV, EPSV, PORT, EPRT}
	}
	return []Mode{EPSV, EPRT}
}

// Operation is what a transfer does.
type Operation string

// The operations.
const (
	Download Operation = "download"
	Upload   Operation = "upload"
	Listing  Operation = "listing"
)

// Operations lists them all.
var Operations = []Operation{Download, Upload, Listing}

// pasvReply finds replies to PASV in a log.
var pasvReply = regexp.MustCompile(`227 [^\r\n]*?\d+,\d+,\d+,\d+,\d+,\d+`)

// Parse227 reads the address out of a PASV reply.
func Parse227(reply string) (netip.AddrPort, error) {
	at, ok := ftp.ParsePASV(strings.TrimPrefix(reply, "227 "))
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("no address in %q", reply)
	}
	return at, nil
}

// Parse229 reads the port out of an EPSV reply.
func Parse229(reply string) (uint16, error) {
	port, ok := ftp.ParseEPSV(strings.TrimPrefix(reply, "229 "))
	if !ok {
		return 0, fmt.Errorf("no port in %q", reply)
	}
	return port, nil
}

// Announce is the command that tells a server where the client listens, in an active mode.
func (m Mode) Announce(at netip.AddrPort) string {
	if m == PORT {
		return fmt.Sprintf("PORT %s,%d,%d", strings.ReplaceAll(at.Addr().String(), ".", ","), at.Port()>>8, at.Port()&255)
	}
	family := 1
	if at.Addr().Is6() {
		family = 2
	}
	return fmt.Sprintf("EPRT |%d|%s|%d|", family, at.Addr(), at.Port())
}
