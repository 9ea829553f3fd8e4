package ftp

import (
	"bytes"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// layout is a 227 or 229 line in parts, to be laid out at a given length. Its
// text is free (RFC 959, section 4.2), so that is what gives or takes room.
type layout struct {
	fixed       []byte // "227 ", or what has already gone on
	text        []byte
	open, close bool   // parentheses around body, where there is room
	glued       bool   // body goes on where fixed ends: no blanks between
	body        string // what clients look for
	tail        []byte // after the closing parenthesis
}

// fit appends the line at exactly n bytes to dst: in full, padded with blanks;
// else without the tail (the final dot), then with less text, then without
// parentheses. The text holds no digits, parentheses or bars, so that every
// client finds body first.
func (l layout) fit(dst []byte, n int) ([]byte, bool) {
	text := cleanText(l.text)
	tail := l.tail
	if hasMark(tail) {
		tail = nil
	}
	room := n - len(l.fixed) - len(l.body) - len(text) - len(tail)
	if l.open {
		room--
	}
	if l.close {
		room--
	}
	if room < 0 { // the tail gives
		k := min(-room, len(tail))
		tail, room = tail[:len(tail)-k], room+k
	}
	if room < 0 { // the text gives
		k := len(text)
		text = trimText(text, max(k+room, 0))
		room += k - len(text)
	}
	if room < 0 && l.close {
		l.close, room = false, room+1
		if l.open {
			l.open, room = false, room+1
		}
	}
	if room < 0 {
		return dst, false
	}
	dst = append(dst, l.fixed...)
	dst = append(dst, text...)
	before := !l.glued && !bytes.HasSuffix(text, []byte{'='}) // "227 =h1,..." stays together
	if before {
		dst = appendBlanks(dst, room)
	}
	if l.open {
		dst = append(dst, '(')
	} else if k := len(dst) - 1; !l.glued && len(text) > 1 && isLetterOrDot(dst[k]) {
		dst[k] = ' ' // trimmed text, no parenthesis: a blank sets the address apart
	}
	dst = append(dst, l.body...)
	if l.close {
		dst = append(dst, ')')
	}
	dst = append(dst, tail...)
	if !before {
		dst = appendBlanks(dst, room)
	}
	return dst, true
}

func isLetterOrDot(c byte) bool { return isLetter(c) || c == '.' || c == ':' }

// room is the length of the longest body that fits into n bytes.
func (l layout) room(n int) int { return n - len(l.fixed) }

func appendBlanks(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// isMark reports whether c means something to a client that looks for an address.
func isMark(c byte) bool { return isDigit(c) || c == '(' || c == ')' || c == '|' }

func hasMark(b []byte) bool {
	for _, c := range b {
		if isMark(c) || c < ' ' && c != '\t' {
			return true
		}
	}
	return false
}

// cleanText drops what a client could take for part of an address, and turns controls into blanks.
func cleanText(b []byte) []byte {
	if !hasMark(b) {
		return b
	}
	c := make([]byte, 0, len(b))
	for _, x := range b {
		switch {
		case isMark(x):
		case x < ' ':
			c = append(c, ' ')
		default:
			c = append(c, x)
		}
	}
	return c
}

// trimText cuts text to at most n bytes without cutting through a UTF-8 sequence (RFC 2640).
func trimText(b []byte, n int) []byte {
	if n >= len(b) {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// sixText is "h1,h2,h3,h4," for an IPv4 address.
func sixText(a netip.Addr) string {
	b := a.As4()
	t := make([]byte, 0, 16)
	for _, v := range b {
		t = append(strconv.AppendUint(t, uint64(v), 10), ',')
	}
	return string(t)
}

// portText is "p1,p2".
func portText(p uint16) string {
	return strconv.Itoa(int(p>>8)) + "," + strconv.Itoa(int(p&255))
}

// digits is the number of decimal digits of p.
func digits(p uint16) int {
	switch {
	case p < 10:
		return 1
	case p < 100:
		return 2
	case p < 1000:
		return 3
	case p < 10000:
		return 4
	}
	return 5
}

// fitPort writes an argument of PORT at exactly n bytes.
func fitPort(to netip.AddrPort, n int) (string, bool) {
	b := to.Addr().As4()
	t, ok := padNumbers([]byte{b[0], b[1], b[2], b[3], byte(to.Port() >> 8), byte(to.Port())}, n)
	return string(t), ok
}

// padNumbers writes numbers with commas between at exactly n bytes, padded with leading zeros: first of numbers below
// 8, which no reader takes for something else.
func padNumbers(nums []byte, n int) ([]byte, bool) {
	var width [6]int
	have := len(nums) - 1
	for i, v := range nums {
		width[i] = digits(uint16(v))
		have += width[i]
	}
	for _, small := range [...]bool{true, false} {
		for i := len(nums) - 1; i >= 0; i-- {
			for have < n && width[i] < 3 && (nums[i] < 8) == small {
				width[i]++
				have++
			}
		}
	}
	if have != n {
		return nil, false
	}
	t := make([]byte, 0, n)
	for i, v := range nums {
		if i > 0 {
			t = append(t, ',')
		}
		t = appendPadded(t, uint64(v), width[i])
	}
	return t, true
}

func appendPadded(t []byte, v uint64, width int) []byte {
	for w := digits(uint16(v)); w < width; w++ {
		t = append(t, '0')
	}
	return strconv.AppendUint(t, v, 10)
}

// fitEprt writes an argument of EPRT at exactly n bytes. Some servers, such as pyftpdlib, compare the address as text with what they see, so
// it is written in the usual form (RFC 5952) where that has room: the port is padded to five digits, then an IPv6 address is
// written with all its groups, then the port gets more zeros.
func fitEprt(delim, family byte, to netip.AddrPort, n int) (string, bool) {
	addr, width := to.Addr().String(), digits(to.Port())
	pad := n - eprtRoom - len(addr) - width
	if pad < 0 {
		short := shortest(to.Addr())
		if pad, addr = pad+len(addr)-len(short), short; pad < 0 {
			return "", false
		}
	}
	k := max(min(pad, len("65535")-width), 0)
	width, pad = width+k, pad-k
	if pad > 0 && to.Addr().Is6() {
		long := widen(to.Addr(), len(addr)+pad)
		pad -= len(long) - len(addr)
		addr = long
	}
	width += pad
	t := make([]byte, 0, n)
	t = append(t, delim, family, delim)
	t = append(t, addr...)
	t = append(t, delim)
	t = appendPadded(t, uint64(to.Port()), width)
	t = append(t, delim)
	return string(t), true
}

// eprtRoom is what an argument of EPRT has besides address and port: four delimiters and the family.
const eprtRoom = len("|1|||")

// shortest is the shortest text of an address that is legal. For IPv6 it may be shorter by one byte than what String makes:
// "::" may stand for a single group (RFC 4291, section 2.2), only nobody should write so (RFC 5952, section 4.2.2).
func shortest(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	return hide(groupsOf(a), 8, 0)
}

// widen writes all eight groups of an IPv6 address in n bytes, or in the longest form where that is less. Where n is too small for
// that the usual form stays: servers take zeros before the port rather than an address in a form that they do not see elsewhere.
func widen(a netip.Addr, n int) string {
	if full := a.StringExpanded(); len(full) <= n {
		return full
	}
	if text := hide(groupsOf(a), 0, n); len(text) == n {
		return text
	}
	if text := a.String(); len(text) <= n {
		return text
	}
	return shortest(a)
}

// stretch writes an IPv6 address at exactly n bytes where there is a legal text of that length, with "::" in place of as many groups as
// the length leaves, or else as widen does.
func stretch(a netip.Addr, n int) string {
	for most := 8; most >= 0; most-- {
		if text := hide(groupsOf(a), most, n); len(text) == n {
			return text
		}
	}
	return widen(a, n)
}

func groupsOf(a netip.Addr) (g [8]uint16) {
	b := a.As16()
	for i := range g {
		g[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return g
}

// hide writes groups with "::" in place of the first of the longest runs of zeros, or of so many of them as most allows.
// Groups get zeros in front, from the right, as far as n bytes have room for them.
func hide(groups [8]uint16, most, n int) string {
	from, to := 0, 0
	for i := 0; i < len(groups); i++ {
		j := i
		for j < len(groups) && groups[j] == 0 {
			j++
		}
		if j-i > to-from {
			from, to = i, j
		}
		i = max(i, j)
	}
	to = min(to, from+most)
	var width [8]int
	have := 0
	for i, g := range groups {
		if i < from || i >= to {
			width[i] = len(strconv.FormatUint(uint64(g), 16))
			have += width[i] + 1
		}
	}
	switch {
	case from == to:
		have-- // no colon behind the last one
	case from == 0 && to == len(groups):
		have = len("::")
	case from == 0 || to == len(groups):
		have++
	}
	for i := len(groups) - 1; i >= 0; i-- {
		for width[i] > 0 && width[i] < 4 && have < n {
			width[i]++
			have++
		}
	}
	t := make([]byte, 0, 39)
	for i, g := range groups {
		switch {
		case i >= from && i < to:
			if i == from {
				t = append(t, "::"...)
			}
			continue
		case len(t) > 0 && t[len(t)-1] != ':':
			t = append(t, ':')
		}
		const hex = "0123456789abcdef"
		for k := width[i] - 1; k >= 0; k-- {
			t = append(t, hex[g>>(4*k)&15])
		}
	}
	return string(t)
}
