package ftp

import (
	"bytes"
	"net/netip"
	"strings"
)

// A sender whose bytes are not acknowledged sends nothing new after a while, so what is held of a PORT or EPRT has to go
// on some time. In one-arm mode our address goes in place of the client's own, which is known in advance, padded to the
// same length; and before any number goes that could be read as a port of ours, it is made to lead to the client.

// argument splits a line with a clean PORT or EPRT; ok is false for others.
func argument(line []byte) (cmd Command, at int, ok bool) {
	v := scanVerb(line, true)
	cmd, at = v.command(), v.end
	for at < len(line) && line[at] == ' ' {
		at++
	}
	return cmd, at, v.clean && (cmd == CmdPORT || cmd == CmdEPRT) && at < len(line)
}

// commitActive lets a part of PORT or EPRT go that mayGo does not.
func (s *Session) commitActive(t *stream) {
	line := t.orig[t.line:]
	cmd, arg, ok := argument(line)
	if !ok || s.epsvAll || s.policy.FXPAllow {
		return
	}
	own, ours := s.leads(cmd, line[arg])
	rest := line[arg:]
	n := min(len(own), len(rest))
	if own == "" || ours == "" || string(rest[:n]) != own[:n] {
		return
	}
	port := rest[n:]
	if s.ends.OneArm() {
		t.edit(t.line+arg, []byte(ours[:n]))
		at := t.line + arg + n
		if cmd == CmdPORT {
			n += s.commitPort(port)
		} else {
			n += s.commitEprt(t, at, port, line[arg])
		}
	} else if strings.Trim(string(port), "0123456789") == "" && len(port) < 5 && (len(port) == 0 || port[0] != '0') {
		n += len(port) // the client's own port, which is too low so far
	} else if k := len(port) - len(",0"); cmd == CmdPORT && k > 0 && string(port[k:]) == ",0" && s.portGoes(port) == len(port)-1 {
		n += len(port) // hardly a padded number in pieces
	}
	t.decided = max(t.decided, t.line+arg+n)
}

// provisional announces a port of the client's own that the line has named so far, in case that the backend makes do with
// a part of it.
func (s *Session) provisional(cmd Command, own uint16, choice portChoice) (uint16, bool) {
	to := addrPort(s.ends.Client, own)
	if s.checkActive(to, false) != ReasonNone {
		return 0, false
	}
	port, _, _ := s.open(DataConn{Command: cmd, At: addrPort(s.ends.Seen, own), To: to, Provisional: true}, own, choice)
	return port, port != 0
}

// commitPort returns how much of "p1,p2" goes: it stays as it is.
func (s *Session) commitPort(b []byte) int {
	i := bytes.IndexByte(b, ',')
	if i < 0 {
		return s.portGoes(b)
	}
	if n := s.portGoes(b[:i+1]); n <= i || i+1 == len(b) {
		return n
	}
	to, octal, ok := parsePort([]byte("1,1,1,1," + strings.TrimSuffix(string(b), "\r")))
	if !ok || octal {
		return i + 1
	}
	if _, ok := s.provisional(CmdPORT, to.Port(), portChoice{only: true}); !ok {
		return i + 1
	}
	return len(b)
}

// eprtLead is what the first digits of a port of ours are while nobody knows how many there will be.
const eprtLead = "6000"

// commitEprt writes as much of "port|" as goes, at a position of the stream, and returns its length.
func (s *Session) commitEprt(t *stream, at int, b []byte, delim byte) int {
	rest, own, _ := number(b)
	n := len(b) - len(rest)
	if n > 0 && b[0] == '0' {
		return 0
	}
	if len(rest) == 0 && (n < len(eprtLead) || n == len(eprtLead) && own < int(s.policy.portsMin())) {
		t.edit(at, []byte(eprtLead[:n]))
		return n
	}
	if end := strings.TrimSuffix(string(rest), "\r"); n > 5 || end != "" && end != string(delim) {
		return 0
	}
	gone := min(max(t.decided-at, 0), n)
	choice := portChoice{min: n, max: n, prefix: string(t.out(at, at+gone))}
	if n == 4 && len(rest) == 0 {
		choice.last = 6552 // leaves room for a fifth digit
	}
	port, ok := s.provisional(CmdEPRT, uint16(own), choice) //nolint:gosec // checked below
	if !ok || own > 65535 {
		return min(n, len(eprtLead), gone)
	}
	text := portChoice{}
	t.edit(at, []byte(text.text(port)))
	return len(b)
}

// leads are what an argument begins with: as the client says it, and at equal length as the backend is to read it.
// ours is "" where that cannot be.
func (s *Session) leads(cmd Command, delim byte) (own, ours string) {
	own = s.ownText(cmd, delim)
	if own == "" || !s.ends.OneArm() {
		return own, own
	}
	seen := s.ends.Seen.Addr()
	if cmd == CmdPORT {
		return own, padSix(seen, len(own))
	}
	addr := shortest(seen)
	pad := len(own) - len(addr) - 4 // three delimiters and the family
	if pad < 0 {
		return own, ""
	}
	if seen.Is6() {
		long := widen(seen, len(addr)+pad)
		pad -= len(long) - len(addr)
		addr = long
	}
	return own, own[:3] + addr + string(delim) + strings.Repeat("0", pad)
}

// padSix is sixText at n bytes, padded with leading zeros: first of numbers below 8, which no reader takes for octal.
func padSix(a netip.Addr, n int) string {
	text, ok := padNumbers(a.AsSlice(), n-1)
	if !ok {
		return ""
	}
	return string(text) + ","
}

// finishOneArm completes a line of which our address has gone on, and perhaps digits of a port.
func (s *Session) finishOneArm(t *stream, d DataConn, arg, n int) {
	own, ours := s.leads(d.Command, t.orig[t.line+arg])
	rest, ok := strings.CutPrefix(string(t.orig[t.line+arg:t.line+n]), own)
	if !ok || ours == "" {
		s.refuse(FromClient, d.Command, ReasonTooSlow, d.To)
		neutralise(t, n)
		return
	}
	choice := portChoice{only: true}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if at := arg + len(own); d.Command == CmdEPRT {
		gone := string(t.out(t.line+at, t.line+max(min(t.frozen(), n), at)))
		choice = portChoice{min: digits, max: digits, prefix: gone[:min(len(gone), digits)]}
	}
	port, why, err := s.open(d, d.To.Port(), choice)
	if port == 0 {
		if why == ReasonNone {
			s.noFit(FromClient, d.Command, d.To, s.ends.Seen.Addr())
		} else {
			s.refuseErr(FromClient, d.Command, why, d.To, err)
		}
		neutralise(t, n)
		return
	}
	if d.Command == CmdEPRT {
		rest = choice.text(port) + rest[digits:]
	}
	t.edit(t.line+arg, []byte(ours+rest))
	s.event(Event{Kind: EventRewritten, Dir: FromClient, Command: d.Command, Named: d.To})
}
