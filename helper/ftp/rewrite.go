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

// fitEprt writes an argument of EPRT at exactly n bytes: the port padded to
// five digits, then an IPv6 address written out, then more zeros.
func fitEprt(delim, family byte, to netip.AddrPort, n int) (string, bool) {
	addr := to.Addr().String()
	short := 6 + len(addr) + digits(to.Port()) // the delimiters, the family, and the port without padding
	short--                                    // four delimiters and one digit of family make five
	width := digits(to.Port())
	pad := n - short
	if pad < 0 {
		return "", false
	}
	k := min(pad, 5-width)
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

// widen writes an IPv6 address in its longest form of at most n bytes, at
// least as String does (RFC 4291, section 2.2).
func widen(a netip.Addr, n int) string {
	full := a.StringExpanded()
	if len(full) <= n {
		return full
	}
	// Eight groups without "::", each as short as it gets, then filled from the right.
	groups := bytes.Split([]byte(full), []byte{':'})
	width := make([]int, len(groups))
	have := len(groups) - 1
	for i, g := range groups {
		width[i] = max(len(bytes.TrimLeft(g, "0")), 1)
		have += width[i]
	}
	if have > n {
		return a.String()
	}
	for i := len(groups) - 1; i >= 0; i-- {
		for have < n && width[i] < 4 {
			width[i]++
			have++
		}
	}
	for i, g := range groups {
		groups[i] = g[4-width[i]:]
	}
	return string(bytes.Join(groups, []byte{':'}))
}
