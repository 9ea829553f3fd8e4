package ftp

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// maxUser is how much of a user name is kept.
const maxUser = 64

// clientLine acts on a whole command line at t.orig[t.line:end].
func (s *Session) clientLine(t *stream, end int) {
	line := t.orig[t.line:end]
	content := splitEnd(line)
	if len(content) == 0 {
		return // servers differ in whether they answer an empty line
	}
	v := scanVerb(content, true)
	s.commanded(v.counted(content))
	cmd := v.command()
	odd := !v.clean || !graphic(content[v.end:])
	if isActive(content) && (odd || !v.active() || v.end < len(content) && content[v.end] != ' ') {
		s.refuse(FromClient, cmd, ReasonObscured, netip.AddrPort{})
		blank(t, t.line, end, 'X')
		s.pending.push(awaitOther)
		return
	}
	arg := v.end
	for arg < len(content) && content[arg] == ' ' {
		arg++
	}
	wait := awaitOther
	switch cmd {
	case CmdPASV:
		wait = awaitPASV
	case CmdEPSV:
		wait = awaitEPSV
		if strings.EqualFold(strings.TrimSpace(string(content[arg:])), "ALL") {
			wait = awaitEPSVAll
			s.epsvAll = true // until the server says no
		}
	case CmdAUTH:
		switch {
		case !isTLSArg(content[arg:]):
		case s.refusesTLS():
			s.refuse(FromClient, cmd, ReasonTLS, netip.AddrPort{})
			blank(t, t.line+v.start, t.line+len(content), 'X')
			wait = awaitNoTLS
		default:
			wait = awaitAUTH
		}
	case CmdUSER:
		s.stats.User = printName(content[arg:])
	case CmdPORT, CmdEPRT:
		s.activeCommand(t, cmd, arg, len(content))
	case CmdLPRT:
		s.refuse(FromClient, cmd, ReasonLongAddr, netip.AddrPort{})
		neutralise(t, len(content))
	case CmdLPSV:
		s.refuse(FromClient, cmd, ReasonLongAddr, netip.AddrPort{})
		blank(t, t.line+v.start, t.line+v.end, 'X')
	case CmdNone, CmdOther, NumCommands:
	}
	s.pending.push(wait)
}

// refusesTLS reports whether AUTH is refused: data connections in TLS cannot be announced, and no port leads to the backend anyway.
func (s *Session) refusesTLS() bool { return s.policy.RefuseTLS && s.policy.Slice.First == 0 }

// isTLSArg reports whether AUTH asks for TLS (RFC 4217, section 4; the others are older names).
func isTLSArg(arg []byte) bool {
	switch strings.ToUpper(strings.TrimSpace(string(arg))) {
	case "TLS", "SSL", "TLS-C", "TLS-P":
		return true
	}
	return false
}

// activeCommand acts on PORT or EPRT whose argument is at arg to n of the line.
func (s *Session) activeCommand(t *stream, cmd Command, arg, n int) {
	if arg >= n {
		return // the server will say so
	}
	text := t.orig[t.line+arg : t.line+n]
	var (
		to    netip.AddrPort
		e     eprt
		octal bool
		why   Reason
	)
	if cmd == CmdPORT {
		var ok bool
		if to, octal, ok = parsePort(text); !ok {
			why = ReasonMalformed
		}
	} else {
		e, why = parseEprt(text)
		to, octal = e.to, e.octal
	}
	if why == ReasonNone {
		why = s.checkActive(to, octal)
	}
	if why != ReasonNone {
		s.refuse(FromClient, cmd, why, to)
		neutralise(t, n)
		return
	}
	d := DataConn{Command: cmd, At: to, Port: to.Port(), To: to}
	if !s.ends.OneArm() {
		s.openTwoArm(t, d, e, octal, arg, n)
		return
	}
	s.openOneArm(t, d, e, arg, n)
}

// openTwoArm makes the expectation for a command that passes as it is, or without the zeros that some read as octal.
func (s *Session) openTwoArm(t *stream, d DataConn, e eprt, octal bool, arg, n int) {
	text := t.orig[t.line+arg : t.line+n]
	if octal {
		gone := t.out(t.line+arg, t.line+max(min(t.frozen(), n), arg))
		var ok bool
		if text, ok = plain(d, e, len(text), gone); !ok {
			s.refuse(FromClient, d.Command, ReasonAmbiguous, d.To)
			neutralise(t, n)
			return
		}
	}
	err := s.opener.Open(d)
	if isQuota(err) {
		s.refuseErr(FromClient, d.Command, ReasonQuota, d.To, err)
		neutralise(t, n)
		return
	}
	if octal {
		t.edit(t.line+arg, text)
		s.event(Event{Kind: EventRewritten, Dir: FromClient, Command: d.Command, Named: d.To})
	}
	if err != nil {
		// The backend may still get through: a source group gives its
		// connections the VIP as well, only without being announced.
		s.event(Event{Kind: EventOpenFailed, Reason: ReasonOpen, Command: d.Command, Data: d, Err: err})
		return
	}
	s.stats.Opened[d.Command]++
	s.event(Event{Kind: EventExpected, Command: d.Command, Data: d})
}

// plain writes an argument of PORT or EPRT at n bytes so that every server reads the same numbers, those that take leading zeros
// for octal, too: zeros stand only before numbers below 8, and blanks behind the argument. It begins with what has gone on.
func plain(d DataConn, e eprt, n int, gone []byte) ([]byte, bool) {
	fits := func(text string) ([]byte, bool) {
		b := appendBlanks([]byte(text), n-len(text))
		return b, len(b) == n && bytes.HasPrefix(b, gone)
	}
	if d.Command == CmdPORT {
		a := d.To.Addr().As4()
		nums := append(a[:], byte(d.To.Port()>>8), byte(d.To.Port()))
		for k := n; k > 0; k-- {
			if text, ok := padNumbers(nums, k); ok && !ambiguous(string(text)) {
				if b, ok := fits(string(text)); ok {
					return b, true
				}
			}
		}
		return nil, false
	}
	port := string(e.delim) + strconv.Itoa(int(d.To.Port())) + string(e.delim)
	lead := string([]byte{e.delim, e.family, e.delim})
	addr := d.To.Addr().String()
	if d.To.Addr().Is6() { // is written longer instead: not all servers take blanks behind EPRT
		if b, ok := fits(lead + stretch(d.To.Addr(), n-len(lead)-len(port)) + port); ok {
			return b, true
		}
	}
	return fits(lead + addr + port)
}

// openOneArm makes the expectation and names our own address to the backend.
func (s *Session) openOneArm(t *stream, d DataConn, e eprt, arg, n int) {
	d.At = addrPort(s.ends.Seen, d.To.Port())
	size := n - arg
	text := t.orig[t.line+arg : t.line+n]
	for size > 0 && text[size-1] == ' ' {
		size--
	}
	if t.frozen() > arg {
		s.finishOneArm(t, d, arg, n)
		return
	}
	choice := portChoice{six: d.Command == CmdPORT}
	if choice.six {
		choice.max = min(size-len(sixText(s.ends.Seen.Addr())), len("255,255"))
	} else {
		choice.max = min(size-eprtRoom-len(shortest(s.ends.Seen.Addr())), len("65535"))
	}
	ours, same := s.sameForm(d.Command, text[:size], &choice)
	choice.min = choice.max
	var port uint16
	if !s.onlyPadding(d.Command, size) {
		var (
			why Reason
			err error
		)
		if port, why, err = s.open(d, d.To.Port(), choice); why != ReasonNone {
			s.refuseErr(FromClient, d.Command, why, d.To, err)
			neutralise(t, n)
			return
		}
	}
	if port == 0 {
		s.noFit(FromClient, d.Command, d.To, s.ends.Seen.Addr())
		neutralise(t, n)
		return
	}
	at := addrPort(s.ends.Seen, port)
	var out string
	switch {
	case same && d.Command == CmdPORT:
		out = ours + portText(port)
	case same:
		out = ours + strconv.Itoa(int(port)) + string(e.delim)
	case d.Command == CmdPORT:
		out, _ = fitPort(at, size)
	default:
		out, _ = fitEprt(e.delim, e.family, at, size)
	}
	t.edit(t.line+arg, []byte(out))
	s.event(Event{Kind: EventRewritten, Dir: FromClient, Command: d.Command, Named: d.To})
}

// sameForm is what our argument begins with where it comes in pieces. It is used for a whole line as well, where no reader takes
// its numbers for octal: then what goes on by one form and the rest by the other, after a gap or a restart, fit.
func (s *Session) sameForm(cmd Command, text []byte, choice *portChoice) (ours string, ok bool) {
	own, ours := s.leads(cmd, text[0])
	rest, ok := strings.CutPrefix(string(text), own)
	n := len(rest)
	if cmd == CmdEPRT {
		n--
	}
	if own == "" || ours == "" || !ok || n > choice.max || n < len("1,1") || cmd == CmdPORT && ambiguous(ours) {
		return "", false
	}
	choice.max = n
	return ours, true
}

// ambiguous reports whether a number that has leading zeros is another one to a reader that takes those for octal.
func ambiguous(numbers string) bool {
	for text := range strings.SplitSeq(numbers, ",") {
		if _, v, _ := number([]byte(text)); len(text) > 1 && text[0] == '0' && v >= 8 {
			return true
		}
	}
	return false
}

// onlyPadding reports whether the argument is longer than leading zeros can
// make ours: never so for EPRT.
func (s *Session) onlyPadding(cmd Command, size int) bool {
	return cmd == CmdPORT && size > len("000,000,000,000,000,000")
}

// checkActive applies the policy to the address that PORT or EPRT names.
func (s *Session) checkActive(to netip.AddrPort, octal bool) Reason {
	client := s.ends.Client.Addr()
	switch {
	case to.Addr().Is4() != client.Is4():
		return ReasonFamily
	case to.Addr() != client && (!s.policy.FXPAllow || s.ends.OneArm()): // in one-arm mode the kernel knows only the client
		return ReasonThirdParty
	case to.Port() < s.policy.portsMin():
		return ReasonLowPort
	case s.epsvAll:
		return ReasonEPSVAll
	case octal && to.Addr() != client: // of the client's own the backend reads our writing
		return ReasonAmbiguous
	}
	return ReasonNone
}

// neutralise turns an active verb's line of n bytes into one that servers answer with one error, at once, and then go on:
// a verb that none knows. Where the verb has gone on it grows into one by its argument; where the blank behind it has gone
// as well, the argument is one that none takes. The forms were tried on a dozen servers (tests/refusals).
func neutralise(t *stream, n int) {
	line := t.orig[t.line : t.line+n]
	v := scanVerb(line, true)
	gone := t.frozen()
	with := byte('x')
	if gone <= v.end {
		with = 'X'
	}
	b := bytes.Repeat([]byte{with}, n)
	from := v.start
	if with == 'x' {
		from = v.end
		for from < n && line[from] == ' ' {
			from++
		}
		if v.command() == CmdPORT && gone <= from {
			for i := from + 1; i < n-1; i++ {
				b[i] = ','
			}
		}
	}
	if from < n {
		t.edit(t.line+from, b[from:])
	}
}

// blank overwrites everything but CR and LF.
func blank(t *stream, from, to int, with byte) {
	b := make([]byte, to-from)
	for i, c := range t.orig[from:to] {
		if b[i] = with; c == '\r' || c == '\n' {
			b[i] = c
		}
	}
	t.edit(from, b)
}

// graphic reports whether b is ASCII without controls.
func graphic(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// printName makes a user name fit for a log.
func printName(b []byte) string {
	var t strings.Builder
	for _, r := range string(b) {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' {
			r = '?'
		}
		if t.Len() >= maxUser {
			break
		}
		t.WriteRune(r)
	}
	return t.String()
}
