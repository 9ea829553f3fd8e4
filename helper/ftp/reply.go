package ftp

import (
	"bytes"
	"net/netip"
)

// group is what a 227 or 229 names: where it stands in the line, and its value.
type group struct {
	start, end int // with parentheses, where they are there
	parens     bool
	addr       netip.Addr // 227 only
	port       uint16
	delim      byte // 229 only
}

// found says how a reply was read.
type found uint8

const (
	foundNone found = iota // names nothing
	foundBad               // names something that is not allowed
	foundOK
)

// parse227 reads the six numbers of a 227 reply, code and line end excepted, at
// the place where clients find them: the first six numbers separated by commas,
// with or without parentheses (RFC 1123, section 4.1.2.6). Blanks after commas
// and leading zeros are taken; numbers are decimal. from is where to start.
func parse227(line []byte, from int) (group, found) {
	for i := from; i < len(line); i++ {
		if !isDigit(line[i]) {
			continue
		}
		nums, end, n := sixNumbers(line, i)
		if n < 6 {
			for i+1 < len(line) && isDigit(line[i+1]) {
				i++
			}
			continue
		}
		g := group{start: i, end: end}
		if end < len(line) && line[end] == ',' || i > 0 && line[i-1] == ',' {
			return g, foundBad
		}
		if i > 0 && line[i-1] == '(' && end < len(line) && line[end] == ')' {
			g.parens = true
			g.start, g.end = i-1, end+1
		}
		for _, v := range nums {
			if v > 255 {
				return g, foundBad
			}
		}
		g.addr = netip.AddrFrom4([4]byte{byte(nums[0]), byte(nums[1]), byte(nums[2]), byte(nums[3])})
		g.port = uint16(nums[4]<<8 | nums[5])
		if g.port == 0 {
			return g, foundBad
		}
		return g, foundOK
	}
	return group{}, foundNone
}

// sixNumbers reads up to six numbers separated by commas. Values stop at 256.
func sixNumbers(line []byte, i int) (nums [6]int, end, n int) {
	for n < 6 {
		v, start := 0, i
		for i < len(line) && isDigit(line[i]) {
			v = min(v*10+int(line[i]-'0'), 256)
			i++
		}
		if i == start {
			break
		}
		if i-start > 3 {
			v = 256
		}
		nums[n] = v
		n++
		end = i
		if n == 6 || i == len(line) || line[i] != ',' {
			break
		}
		i++
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
	}
	return nums, end, n
}

// parse229 reads "(<d><d><d><port><d>)" (RFC 2428, section 3): the protocol
// and the address must be missing, and all four delimiters the same.
func parse229(line []byte, from int) (group, found) {
	i := bytes.IndexByte(line[from:], '(')
	if i < 0 {
		return group{}, foundNone
	}
	i += from
	g := group{start: i, end: len(line), parens: true}
	if end := bytes.IndexByte(line[i:], ')'); end >= 0 {
		g.end = i + end + 1
	}
	in := line[i+1:]
	if len(in) < 6 {
		return g, foundBad
	}
	d := in[0]
	if d < 33 || d > 126 || isDigit(d) || in[1] != d || in[2] != d {
		return g, foundBad
	}
	g.delim = d
	port, k := 0, 3
	for k < len(in) && isDigit(in[k]) {
		port = min(port*10+int(in[k]-'0'), 1<<16)
		k++
	}
	if k == 3 || k-3 > 5 || k+1 >= len(in) || in[k] != d || in[k+1] != ')' || port == 0 || port > 65535 {
		return g, foundBad
	}
	g.port = uint16(port)
	g.end = i + 1 + k + 2
	return g, foundOK
}

// ReplyLine reads the beginning of a reply's line (RFC 959, section 4.2); more says that the reply goes on until a line
// with the same code and without more.
func ReplyLine(line []byte) (code int, more, ok bool) {
	code, sep, ok := replyCode(line)
	return code, sep == '-', ok
}

// ParsePASV reads the address in a reply 227, as sessions read it. lines are the texts of the reply's first and last line,
// without the code: what the first one names counts. It is not ok where the reply would be refused for its form. 0.0.0.0
// stands for the server itself.
func ParsePASV(lines ...string) (at netip.AddrPort, ok bool) {
	g, ok := firstGroup(parse227, lines)
	return netip.AddrPortFrom(g.addr, g.port), ok
}

// ParseEPSV is ParsePASV for the port in a reply 229.
func ParseEPSV(lines ...string) (port uint16, ok bool) {
	g, ok := firstGroup(parse229, lines)
	return g.port, ok
}

func firstGroup(parse func(line []byte, from int) (group, found), lines []string) (group, bool) {
	for _, line := range lines {
		if g, f := parse([]byte(line), 0); f != foundNone {
			return g, f == foundOK
		}
	}
	return group{}, false
}
