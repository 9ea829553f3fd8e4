package ftp

import (
	"bytes"
	"net/netip"
)

// letGo makes the part of a line that was held too long final.
func (s *Session) letGo(dir Direction, t *stream) {
	s.event(Event{Kind: EventHeldTooLong, Dir: dir})
	if t.mode == lineRead {
		if dir == FromClient {
			s.letGoClient(t)
		} else {
			s.letGoServer(t)
		}
	}
	t.decided = len(t.orig)
}

// letGoClient lets a part of PORT or EPRT go: the verb; or an address that
// turns out to be the client's own; or a whole command whose line end is
// missing. Anything else is refused at once.
func (s *Session) letGoClient(t *stream) {
	line := t.orig[t.line:]
	if !isActive(line) {
		return // only the start of a verb
	}
	v := scanVerb(line, true)
	arg := v.end
	for arg < len(line) && line[arg] == ' ' {
		arg++
	}
	if v.is("LPSV") {
		s.refuse(FromClient, CmdLPSV, ReasonLongAddr, netip.AddrPort{})
		blank(t, t.line+v.start, t.line+v.end, 'X')
		t.mode = linePoison
		return
	}
	if arg >= len(line) || v.clean && string(line[arg:]) == "\r" {
		return
	}
	cmd := v.command()
	content := splitEnd(line)
	if (cmd == CmdPORT || cmd == CmdEPRT) && v.clean && graphic(content[v.end:]) {
		if s.complete(cmd, content[arg:]) {
			s.activeCommand(t, cmd, arg, len(content))
			t.mode = linePoison
			return
		}
		if !s.ends.OneArm() && s.ownAddress(cmd, content[arg:]) {
			return
		}
	}
	s.refuse(FromClient, cmd, ReasonTooSlow, netip.AddrPort{})
	blank(t, t.line+min(arg, len(line)), len(t.orig), 'x')
	t.mode = linePoison
}

// complete reports whether an argument can be read in full.
func (s *Session) complete(cmd Command, arg []byte) bool {
	if cmd == CmdPORT {
		_, _, ok := parsePort(arg)
		return ok
	}
	_, why := parseEprt(arg)
	return why != ReasonMalformed
}

// ownAddress reports whether an argument stops within the client's own
// address, or right after it. Whatever follows can still be refused.
func (s *Session) ownAddress(cmd Command, arg []byte) bool {
	a := s.ends.Client.Addr()
	if cmd == CmdPORT {
		return a.Is4() && bytes.HasPrefix([]byte(sixText(a)), arg)
	}
	own := "|1|" + a.String() + "|"
	if a.Is6() {
		own = "|2|" + a.String() + "|"
	}
	return bytes.HasPrefix([]byte(own), arg)
}

// letGoServer lets a part of a 227 or 229 go. Text is free, so it goes as it
// is. Where a part of the backend's address has come, ours goes instead: it is
// known already, only the port is not. A 229 goes as it is, in the hope that
// the backend's port is to be had.
func (s *Session) letGoServer(t *stream) {
	line := t.orig[t.line:]
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		line = line[:i]
	}
	if len(line) <= 4 {
		return
	}
	if s.started == 0 && s.multi.code == 0 && line[3] == ' ' {
		code, whole := 229, false
		if line[2] == '7' {
			g, f := parse227(line, 4)
			code, whole = 227, f == foundOK && (g.parens || g.end < len(line))
		} else {
			_, f := parse229(line, 4)
			whole = f == foundOK
		}
		if whole { // only its line end is missing
			copy(t.head[:], line)
			s.announcement(t, len(line), code, true)
			t.mode = linePass
			return
		}
	}
	if line[2] != '7' {
		return
	}
	if !s.advertised().Is4() {
		return // will be refused
	}
	fixed := t.out(t.line, t.line+max(t.frozen(), 4))
	rest := line[min(len(fixed), len(line)):]
	first := bytes.IndexAny(rest, "0123456789")
	if s.started == 0 && first < 0 || len(rest) == 0 {
		return
	}
	addr := sixText(s.advertised())[s.started:]
	out := make([]byte, 0, maxLine)
	if s.started == 0 {
		text := rest[:first]
		paren := len(text) > 0 && text[len(text)-1] == '('
		if paren {
			text = text[:len(text)-1]
		}
		text = cleanText(text)
		room := len(rest) - len(addr)
		if paren && room > 0 {
			room--
		} else {
			paren = false
		}
		text = trimText(text, max(room, 0))
		out = append(out, text...)
		out = appendBlanks(out, max(room, 0)-len(text))
		if paren {
			out = append(out, '(')
		}
	}
	k := min(len(addr), len(rest)-len(out))
	out = append(out, addr[:k]...)
	s.started += uint8(k)                       //nolint:gosec // the text of an address
	out = appendBlanks(out, len(rest)-len(out)) // beyond the address: no client finds one now
	t.edit(t.line+len(fixed), out)
}
