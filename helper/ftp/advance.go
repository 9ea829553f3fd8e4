package ftp

import (
	"bytes"
	"strconv"
)

// mayGo returns how many bytes of a client's line without an end may go on: whatever follows, the line can still be
// made one that opens nothing. What is not one of the active verbs goes on, and so does the verb itself. Of the
// argument there goes, in two-arm mode, the client's own address and as many digits of the port as name an allowed one
// by themselves. Nothing is held then, and a sender that waits for acknowledgements (RFC 896) never has to.
func (s *Session) mayGo(line []byte) int {
	if s.refusesTLS() {
		if v := scanVerb(line, true); v.may("AUTH") && v.n == 4 {
			return v.end - 1
		}
	}
	if !mayBeActive(line) {
		return len(line)
	}
	v := scanVerb(line, true)
	if !v.clean || bytes.IndexByte(line[:v.end], '\r') >= 0 {
		return 0
	}
	arg := v.end
	for arg < len(line) && line[arg] == ' ' {
		arg++
	}
	switch {
	case v.may("LPSV") && v.n == 4: // needs no argument
		return v.end - 1
	case !v.ended, arg == len(line):
		return len(line)
	case line[v.end] == '\r':
		return v.end
	case line[v.end] != ' ':
		return 0
	}
	cmd := v.command()
	if (cmd != CmdPORT && cmd != CmdEPRT) || s.ends.OneArm() || s.policy.FXPAllow || s.epsvAll {
		return arg
	}
	return arg + s.ownGoes(cmd, line[arg:])
}

// ownGoes is how much of a two-arm argument may go on.
func (s *Session) ownGoes(cmd Command, arg []byte) int {
	own := s.ownText(cmd, arg[0])
	n := 0
	for n < len(arg) && n < len(own) && arg[n] == own[n] {
		n++
	}
	if own == "" || n < len(own) || n == len(arg) {
		return n
	}
	if cmd == CmdPORT {
		return n + s.portGoes(arg[n:])
	}
	return n + s.eprtPortGoes(arg[n:], arg[0])
}

// portGoes is how much of "p1,p2" may go on.
func (s *Session) portGoes(b []byte) int {
	i := bytes.IndexByte(b, ',')
	if i < 0 {
		i = len(b)
	}
	high, err := strconv.ParseUint(string(b[:i]), 10, 8)
	if err != nil || b[0] == '0' {
		return 0
	}
	n := min(i+1, len(b))
	if n < len(b) && b[n] == '0' && (n+1 == len(b) || isDigit(b[n+1])) {
		return n // it may be padded, and is to be written otherwise then
	}
	for n < len(b) && isDigit(b[n]) {
		low, err := strconv.ParseUint(string(b[i+1:n+1]), 10, 8)
		if err != nil || high<<8+low < uint64(s.policy.portsMin()) {
			return n
		}
		n++
	}
	if n > i+1 && n == len(b)-1 && b[n] == '\r' {
		n++
	}
	return n
}

// eprtPortGoes is how much of "port|" may go on. The first digits wait for those that make an allowed port of them.
func (s *Session) eprtPortGoes(b []byte, delim byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	port, err := strconv.ParseUint(string(b[:n]), 10, 16)
	if err != nil || b[0] == '0' || port < uint64(s.policy.portsMin()) {
		return 0
	}
	if rest := b[n:]; len(rest) > 0 && rest[0] == delim {
		n++
		if len(rest) == 2 && rest[1] == '\r' {
			n++
		}
	}
	return n
}

// ownText is what the argument of PORT or EPRT begins with where it names the client itself; "" where it cannot.
func (s *Session) ownText(cmd Command, delim byte) string {
	a := s.ends.Client.Addr()
	switch {
	case cmd == CmdPORT && a.Is4():
		return sixText(a)
	case cmd == CmdPORT || delim < 33 || delim > 126 || isDigit(delim):
		return ""
	}
	d, family := string(delim), "1"
	if a.Is6() {
		family = "2"
	}
	return d + family + d + a.String() + d
}
