// Package client has FTP clients that run in a namespace of the lab: a small one of our own that tells which
// addresses it saw, and curl and lftp.
package client

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"ftpvip/configs"
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

// Active tells whether the server opens the data connection.
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

var (
	pasvReply = regexp.MustCompile(`227 [^\r\n]*?(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)`)
	epsvReply = regexp.MustCompile(`229 [^\r\n]*\(\|\|\|(\d+)\|\)`)
)

// Parse227 reads the address out of a PASV reply.
func Parse227(reply string) (netip.AddrPort, error) {
	m := pasvReply.FindStringSubmatch(reply)
	if m == nil {
		return netip.AddrPort{}, fmt.Errorf("no address in %q", reply)
	}
	var b [6]byte
	for i, digits := range m[1:] {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("bad address in %q: %w", reply, err)
		}
		b[i] = byte(n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(b[4])<<8|uint16(b[5])), nil
}

// Parse229 reads the port out of an EPSV reply.
func Parse229(reply string) (uint16, error) {
	m := epsvReply.FindStringSubmatch(reply)
	if m == nil {
		return 0, fmt.Errorf("no port in %q", reply)
	}
	port, err := strconv.ParseUint(m[1], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("bad port in %q: %w", reply, err)
	}
	return uint16(port), nil
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
