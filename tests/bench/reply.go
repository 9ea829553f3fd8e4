package main

import (
	"bytes"
	"net/netip"
	"strconv"
)

// replyCode returns the code of a one-line reply (RFC 959 4.2), or 0.
func replyCode(line []byte) int {
	if len(line) < 4 || line[3] != ' ' {
		return 0
	}
	code := 0
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0
		}
		code = code*10 + int(c-'0')
	}
	return code
}

// appendPassive appends the reply that names a data port (RFC 959 4.1.2, PASV).
func appendPassive(b []byte, at netip.AddrPort) []byte {
	b = append(b, "227 Entering Passive Mode ("...)
	for _, octet := range at.Addr().As4() {
		b = append(strconv.AppendUint(b, uint64(octet), 10), ',')
	}
	b = append(strconv.AppendUint(b, uint64(at.Port()>>8), 10), ',')
	b = strconv.AppendUint(b, uint64(at.Port()&0xff), 10)
	return append(b, ").\r\n"...)
}

// parsePassive returns what a 227 reply names. It is not ok unless six numbers from 0 to 255 follow the parenthesis.
func parsePassive(line []byte) (at netip.AddrPort, ok bool) {
	_, rest, found := bytes.Cut(line, []byte("("))
	if !found {
		return at, false
	}
	var numbers [6]uint16
	for i := range numbers {
		digits := 0
		for ; digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' && digits < 4; digits++ {
			numbers[i] = numbers[i]*10 + uint16(rest[digits]-'0')
		}
		if digits == 0 || numbers[i] > 255 {
			return at, false
		}
		rest = rest[digits:]
		if i < 5 {
			if len(rest) == 0 || rest[0] != ',' {
				return at, false
			}
			rest = rest[1:]
		}
	}
	addr := netip.AddrFrom4([4]byte{byte(numbers[0]), byte(numbers[1]), byte(numbers[2]), byte(numbers[3])})
	return netip.AddrPortFrom(addr, numbers[4]<<8|numbers[5]), true
}
