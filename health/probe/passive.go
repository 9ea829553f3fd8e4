package probe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parse227 finds the six numbers of a reply to PASV. RFC 959 gives no form for the text; servers write
// "Entering Passive Mode (10,2,0,11,195,80).", without parentheses, or behind "=" (RFC 1123 section 4.1.2.6).
func parse227(text string) (netip.AddrPort, bool) {
	for i := 0; i < len(text); i++ {
		if isDigit(text[i]) && (i == 0 || !isDigit(text[i-1]) && text[i-1] != ',') {
			if n, ok := sixNumbers(text[i:]); ok {
				addr := netip.AddrFrom4([4]byte(n[:4]))
				port := uint16(n[4])<<8 | uint16(n[5])
				return netip.AddrPortFrom(addr, port), port != 0 && !addr.IsUnspecified()
			}
		}
	}
	return netip.AddrPort{}, false
}

// sixNumbers reads h1,h2,h3,h4,p1,p2 at the beginning of s.
func sixNumbers(s string) (n [6]byte, ok bool) {
	for i := range n {
		if i > 0 {
			rest, comma := strings.CutPrefix(s, ",")
			if !comma {
				return n, false
			}
			s = strings.TrimLeft(rest, " ")
		}
		end := 0
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		v, err := strconv.ParseUint(s[:end], 10, 8)
		if err != nil {
			return n, false
		}
		n[i], s = byte(v), s[end:]
	}
	return n, s == "" || s[0] != ','
}

// parse229 finds the port of a reply to EPSV: "(|||6446|)" with any delimiter (RFC 2428 section 3).
func parse229(text string) (uint16, bool) {
	for i := 0; i+4 < len(text); i++ {
		d := text[i]
		if d < 33 || d > 126 || isDigit(d) || text[i+1] != d || text[i+2] != d || !isDigit(text[i+3]) {
			continue
		}
		digits, _, closed := strings.Cut(text[i+3:], string(rune(d)))
		port, err := strconv.ParseUint(digits, 10, 16)
		return uint16(port), closed && err == nil && port != 0
	}
	return 0, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// portArgument is h1,h2,h3,h4,p1,p2.
func portArgument(at netip.AddrPort) string {
	a := at.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff)
}

// eprtArgument is |1|address|port| for IPv4, |2| for IPv6 (RFC 2428 section 2).
func eprtArgument(at netip.AddrPort) string {
	family := 2
	if at.Addr().Is4() {
		family = 1
	}
	return fmt.Sprintf("|%d|%s|%d|", family, at.Addr(), at.Port())
}
