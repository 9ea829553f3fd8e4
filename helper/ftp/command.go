package ftp

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
)

// parsePort reads the argument of PORT (RFC 959, section 5.3.2): six decimal
// numbers from 0 to 255. Blanks around are taken. octal says that a number has
// leading zeros and another value to a reader that takes those for octal.
func parsePort(arg []byte) (ap netip.AddrPort, octal, ok bool) {
	arg = bytes.Trim(arg, " ")
	nums, end, n := sixNumbers(arg, 0)
	if n < 6 || end != len(arg) || bytes.IndexByte(arg, ' ') >= 0 {
		return ap, false, false
	}
	for _, v := range nums {
		if v > 255 {
			return ap, false, false
		}
	}
	b := [4]byte{byte(nums[0]), byte(nums[1]), byte(nums[2]), byte(nums[3])}
	for i := 0; i < len(arg); i++ {
		if arg[i] == '0' && (i == 0 || arg[i-1] == ',') {
			_, v, _ := number(arg[i:])
			octal = octal || v >= 8
		}
	}
	addr := netip.AddrFrom4(b)
	port := uint16(nums[4]<<8 | nums[5])
	return netip.AddrPortFrom(addr, port), octal, port != 0 && !addr.IsUnspecified()
}

// number reads decimal digits, up to 65536.
func number(b []byte) (rest []byte, v int, ok bool) {
	i := 0
	for i < len(b) && isDigit(b[i]) {
		v = min(v*10+int(b[i]-'0'), 1<<16)
		i++
	}
	return b[i:], v, i > 0
}

// eprt is the argument of an EPRT command.
type eprt struct {
	delim  byte
	family byte // '1' or '2'
	to     netip.AddrPort
	octal  bool // a number has leading zeros and another value to a reader that takes those for octal
}

// parseEprt reads the argument of EPRT (RFC 2428, section 2):
// <d><net-prt><d><net-addr><d><tcp-port><d>. Zones and addresses whose family
// is not net-prt's are refused, so are IPv4-mapped ones.
func parseEprt(arg []byte) (e eprt, why Reason) {
	arg = bytes.Trim(arg, " ")
	if len(arg) < 8 {
		return e, ReasonMalformed
	}
	d := arg[0]
	if d < 33 || d > 126 || isDigit(d) || arg[len(arg)-1] != d || arg[2] != d {
		return e, ReasonMalformed
	}
	e.delim, e.family = d, arg[1]
	in := arg[3 : len(arg)-1]
	i := bytes.IndexByte(in, d)
	if i <= 0 || i > 45 {
		return e, ReasonMalformed
	}
	addr, err := netip.ParseAddr(string(in[:i]))
	if err != nil {
		addr, e.octal, err = parsePadded(string(in[:i]))
	}
	if err != nil || addr.Zone() != "" {
		return e, ReasonMalformed
	}
	digits := in[i+1:]
	rest, port, ok := number(digits)
	if !ok || len(rest) > 0 || len(digits) > 5 || port == 0 || port > 65535 || addr.IsUnspecified() {
		return e, ReasonMalformed
	}
	if digits[0] == '0' && port >= 8 {
		e.octal = true
	}
	e.to = netip.AddrPortFrom(addr, uint16(port))
	switch {
	case e.family == '1' && addr.Is4(), e.family == '2' && addr.Is6() && !addr.Is4In6():
		return e, ReasonNone
	}
	return e, ReasonFamily
}

// parsePadded reads an IPv4 address whose decimal numbers have leading zeros, which netip.ParseAddr refuses: some devices
// write all numbers with three digits. octal says that a reader that takes those for octal reads another address.
func parsePadded(text string) (addr netip.Addr, octal bool, err error) {
	fields := strings.Split(text, ".")
	for i, f := range fields {
		if len(f) > 3 {
			return addr, false, errPadded
		}
		short := strings.TrimLeft(f, "0")
		if v, n, _ := number([]byte(f)); len(short) < len(f) && len(v) == 0 && n >= 8 {
			octal = true
		}
		if short == "" && f != "" {
			short = "0"
		}
		fields[i] = short
	}
	addr, err = netip.ParseAddr(strings.Join(fields, "."))
	if err == nil && !addr.Is4() {
		err = errPadded
	}
	return addr, octal, err
}

var errPadded = errors.New("not an IPv4 address in decimal numbers")
