package ftp

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// How clients read a 227: each style of parser gives the address that the
// client would connect to.
var pasvParsers = map[string]func(string) (netip.AddrPort, error){
	"curl":       curlPASV,
	"ftplib":     ftplibPASV,
	"rfc1123":    digitPASV,
	"parens":     parenPASV,
	"from start": sscanfPASV,
}

var errNoAddress = errors.New("no address")

func six(n [6]int) (netip.AddrPort, error) {
	for _, v := range n {
		if v < 0 || v > 255 {
			return netip.AddrPort{}, errNoAddress
		}
	}
	a := netip.AddrFrom4([4]byte{byte(n[0]), byte(n[1]), byte(n[2]), byte(n[3])})
	return netip.AddrPortFrom(a, uint16(n[4]<<8|n[5])), nil
}

// scanSix is sscanf(s, "%u,%u,%u,%u,%u,%u").
func scanSix(s string) (netip.AddrPort, error) {
	var n [6]int
	for i := range n {
		s = strings.TrimLeft(s, " \t\r\n")
		k := 0
		for k < len(s) && isDigit(s[k]) {
			k++
		}
		v, err := strconv.Atoi(s[:k])
		if err != nil {
			return netip.AddrPort{}, errNoAddress
		}
		n[i], s = v, s[k:]
		if i < 5 {
			if !strings.HasPrefix(s, ",") {
				return netip.AddrPort{}, errNoAddress
			}
			s = s[1:]
		}
	}
	return six(n)
}

// curlPASV is curl's ftp_state_pasv_resp: the first place from the text on where six numbers stand.
func curlPASV(line string) (netip.AddrPort, error) {
	for i := 4; i < len(line); i++ {
		if a, err := scanSix(line[i:]); err == nil {
			return a, nil
		}
	}
	return netip.AddrPort{}, errNoAddress
}

var re227 = regexp.MustCompile(`(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)`)

// ftplibPASV is parse227 of Python's ftplib.
func ftplibPASV(line string) (netip.AddrPort, error) {
	m := re227.FindStringSubmatch(line)
	if m == nil {
		return netip.AddrPort{}, errNoAddress
	}
	var n [6]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	return six(n)
}

// digitPASV scans for the first digit after the code (RFC 1123, section 4.1.2.6).
func digitPASV(line string) (netip.AddrPort, error) {
	i := strings.IndexAny(line[min(4, len(line)):], "0123456789")
	if i < 0 {
		return netip.AddrPort{}, errNoAddress
	}
	return scanSix(line[4+i:])
}

// parenPASV looks for the opening parenthesis, and takes the first digit if there is none.
func parenPASV(line string) (netip.AddrPort, error) {
	_, numbers, found := strings.Cut(line, "(")
	if !found {
		return digitPASV(line)
	}
	return scanSix(numbers)
}

// sscanfPASV is what BSD's ftp does: sscanf of what follows the text up to a
// '(' or a digit.
func sscanfPASV(line string) (netip.AddrPort, error) {
	i := strings.IndexAny(line[min(4, len(line)):], "(0123456789")
	if i < 0 {
		return netip.AddrPort{}, errNoAddress
	}
	return scanSix(strings.TrimPrefix(line[4+i:], "("))
}

// How clients read a 229.
var epsvParsers = map[string]func(string) (uint16, error){
	"curl":   curlEPSV,
	"ftplib": ftplibEPSV,
	"lftp":   lftpEPSV,
}

// curlEPSV is sscanf(ptr, "%c%c%c%u%c") after the first '('.
func curlEPSV(line string) (uint16, error) {
	_, p, ok := strings.Cut(line[min(4, len(line)):], "(")
	if !ok || len(p) < 5 || p[0] != p[1] || p[1] != p[2] {
		return 0, errNoAddress
	}
	k := 3
	for k < len(p) && isDigit(p[k]) {
		k++
	}
	if k == len(p) || p[k] != p[0] {
		return 0, errNoAddress
	}
	v, err := strconv.ParseUint(p[3:k], 10, 16)
	return uint16(v), err
}

// ftplibEPSV is parse229 of Python's ftplib.
func ftplibEPSV(line string) (uint16, error) {
	left := strings.IndexByte(line, '(')
	if left < 0 {
		return 0, errNoAddress
	}
	right := strings.IndexByte(line[left+1:], ')')
	if right < 0 {
		return 0, errNoAddress
	}
	in := line[left+1 : left+1+right]
	if len(in) < 2 || in[0] != in[len(in)-1] {
		return 0, errNoAddress
	}
	parts := strings.Split(in[1:], in[:1])
	if len(parts) != 4 {
		return 0, fmt.Errorf("%d parts: %w", len(parts), errNoAddress)
	}
	v, err := strconv.ParseUint(parts[2], 10, 16)
	return uint16(v), err
}

// lftpEPSV wants "(" and then |||port| with any delimiter.
func lftpEPSV(line string) (uint16, error) { return curlEPSV(line) }

// splitEprt reads an argument of EPRT as servers do: the port may have any number of leading zeros.
func splitEprt(arg string) netip.AddrPort {
	f := strings.Split(arg, arg[:1])
	if len(f) != 5 {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil {
		return netip.AddrPort{}
	}
	p, err := strconv.Atoi(f[3])
	if err != nil || p > 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, uint16(p))
}
