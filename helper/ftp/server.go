package ftp

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// multi is the state of a multi-line reply (RFC 959, section 4.2).
type multi struct {
	body    string // what its first line names now
	code    int16
	refused bool // its first line was neutralised
}

// serverLine acts on a whole reply line at t.orig[t.line:end].
func (s *Session) serverLine(t *stream, end int) {
	line := t.orig[t.line:end]
	content := splitEnd(line)
	code, sep, ok := replyCode(content)
	if !ok && s.multi.code == 0 && !t.unsure {
		code, sep, ok = looseCode(content)
	}
	if s.offered {
		s.noTLS()
	}
	if t.unsure && (!ok || code != 227 && code != 229) {
		s.restOfAnnouncement(t, content)
	}
	switch {
	case s.multi.code != 0:
		if !ok || sep != ' ' || code != int(s.multi.code) {
			if namesPort(int(s.multi.code)) { // some clients look for an address in all lines
				s.hideAddress(t, content, int(s.multi.code), 0)
			}
			return // inner lines may look like anything
		}
	case !ok:
		return
	case sep == '-':
		s.multi = multi{code: int16(code)}
		if namesPort(code) {
			s.announcement(t, len(content), code, false)
		}
		return
	}
	s.finalReply(t, len(content), code)
	s.multi = multi{}
}

// finalReply acts on the last or only line of a reply.
func (s *Session) finalReply(t *stream, n, code int) {
	if code < 200 {
		return // preliminary: the final one is to come
	}
	s.stats.Replies++
	s.farewell(code)
	switch code {
	case 227, 229:
		s.announcement(t, n, code, true)
		if !s.pending.answered(code) {
			s.credit = false
		}
	case 228: // no LPSV ever reaches a server
		s.announcement(t, n, code, true)
		s.pending.complete(code)
	case 234:
		if s.pending.take(awaitAUTH) || s.credited() {
			s.looks[FromClient], s.offered, s.accepted = true, true, true
		}
	default:
		switch a, ok := s.pending.complete(code); {
		case ok && a == awaitEPSVAll && code >= 400:
			s.epsvAll = false
		case ok && a == awaitNoTLS && code >= 400 && s.multi.code == 0 && t.frozen() == 0:
			t.edit(t.line, []byte("534")) // RFC 4217, section 10.1: refused for policy
		}
	}
}

// namesPort reports whether a reply with a code names where a data connection is to go: 227, 229, and 228 of RFC 1639.
func namesPort(code int) bool { return code >= 227 && code <= 229 }

// due reports whether a 227 or 229 is expected.
func (s *Session) due(code int) bool {
	if code == 228 {
		return false
	}
	return s.pending.has(awaitPASV) || s.pending.has(awaitEPSV) || s.credited()
}

// announcement acts on a 227 or 229 line of n bytes (without its end).
func (s *Session) announcement(t *stream, n, code int, final bool) {
	cmd := CmdPASV
	if code == 229 {
		cmd = CmdEPSV
	}
	line := t.orig[t.line : t.line+n]
	if code == 228 {
		cmd = CmdLPSV
	}
	if !s.due(code) {
		if final {
			s.event(Event{Kind: EventUnexpected, Dir: FromServer, Command: cmd})
		}
		s.hideAddress(t, line, code, min(len(line), 3))
		return
	}
	if s.multi.refused { // its first line said 425
		t.edit(t.line, []byte("425"))
		return
	}
	var (
		g group
		f found
	)
	if n > 4 {
		if code == 227 {
			g, f = parse227(line, 4)
		} else {
			g, f = parse229(line, 4)
		}
	}
	if s.multi.body != "" { // its first line has named the address already
		if f != foundNone {
			s.layOut(t, n, cmd, g, s.multi.body)
		}
		return
	}
	named := netip.AddrPortFrom(g.addr, g.port)
	if t.unsure && f != foundOK {
		return // perhaps no reply at all, but the rest of one
	}
	switch f {
	case foundNone:
		if final { // some client may find something in it, still
			s.refuseReply(t, n, cmd, ReasonMalformed, netip.AddrPort{}, nil)
		}
		return
	case foundBad:
		s.refuseReply(t, n, cmd, ReasonMalformed, named, nil)
		return
	case foundOK:
	}
	if why := s.checkPassive(code, g); why != ReasonNone {
		s.refuseReply(t, n, cmd, why, named, nil)
		return
	}
	s.openPassive(t, n, cmd, g)
}

// checkPassive applies the policy to what a 227 or 229 names.
func (s *Session) checkPassive(code int, g group) Reason {
	if g.port < s.policy.portsMin() {
		return ReasonLowPort
	}
	if code == 229 {
		return ReasonNone
	}
	if !s.advertised().Is4() || !s.ends.Backend.Addr().Is4() && !g.addr.IsUnspecified() {
		return ReasonFamily
	}
	if !s.mayName(g.addr) {
		return ReasonForeign
	}
	return ReasonNone
}

// backendsOwn reports whether an address is the backend's.
func (s *Session) backendsOwn(a netip.Addr) bool {
	return slices.Contains(s.own(), a)
}

// mayName reports whether the backend may name an address in a 227: 0.0.0.0 is itself, whatever its address.
func (s *Session) mayName(a netip.Addr) bool { return a.IsUnspecified() || s.backendsOwn(a) }

// restOfAnnouncement reads a line of which the start may have gone on before the pick-up: where it is the rest of a 227 or
// 229 it is acted on.
func (s *Session) restOfAnnouncement(t *stream, line []byte) {
	g, f := parse227(line, 0)
	switch e, found := parse229(line, 0); {
	case f == foundOK && s.backendsOwn(g.addr) && s.credited() && g.start >= 4:
		s.announcement(t, len(line), 227, true)
	case f == foundOK && s.backendsOwn(g.addr):
		t.edit(t.line+g.start, bytes.Repeat([]byte{' '}, g.end-g.start))
	case found == foundOK && s.credited() && e.start >= 4:
		s.announcement(t, len(line), 229, true)
	default:
		t.edit(t.line, bytes.Repeat([]byte{' '}, s.restNumbers(line)))
	}
}

// hideAddress blanks what a line names that nobody asked for, from a place on: it may be an address that no client is to see.
func (s *Session) hideAddress(t *stream, line []byte, code, from int) {
	hide := func(g group) { t.edit(t.line+g.start, bytes.Repeat([]byte{' '}, min(g.end, len(line))-g.start)) }
	if g, f := parse229(line, from); f == foundBad && code != 227 { // it names more than a port
		hide(g)
	}
	for i := from; i < len(line); {
		g, f := parse227(line, i)
		if f == foundNone {
			return
		}
		if f == foundBad || g.addr != s.ends.VIP.Addr() && g.addr != s.advertised() && (!t.unsure || s.backendsOwn(g.addr)) {
			hide(g)
		}
		i = g.end
	}
}

// openPassive makes the expectation and rewrites the reply.
func (s *Session) openPassive(t *stream, n int, cmd Command, g group) {
	d := DataConn{
		Command: cmd, Passive: true,
		At:        netip.AddrPortFrom(s.ends.VIP.Addr(), g.port),
		Port:      g.port,
		To:        netip.AddrPortFrom(s.ends.Backend.Addr(), g.port),
		AnySource: s.policy.DataSourceAny,
	}
	named := netip.AddrPortFrom(g.addr, g.port)
	if s.slow != nil {
		s.finish227(t, n, d, named)
		return
	}
	l, had := s.parts(t, n, g)
	port, why, err := s.open(d, g.port, s.portChoice(g, l.room(n), had))
	if port != 0 && s.multi.code != 0 {
		s.multi.body = s.body(g, port)
	}
	if port != 0 && cmd == CmdEPSV && port == g.port {
		return // as good as it came
	}
	if why != ReasonNone {
		s.refuseReply(t, n, cmd, why, named, err)
		return
	}
	var buf [maxLine]byte
	if port != 0 {
		l.body = s.body(g, port)[len(had):]
		if out, ok := l.fit(buf[:0], n); ok {
			s.write(t, out, cmd, named)
			return
		}
	}
	s.noFit(FromServer, cmd, named, s.advertised())
	s.neutraliseReply(t, n, ReasonNoFit)
}

// portChoice says which ports fit into a reply where there is room for so many bytes of the body, of which had is gone.
func (s *Session) portChoice(g group, room int, had string) portChoice {
	c := portChoice{six: g.delim == 0, min: 1}
	before := len(s.body(g, 0)) - len(c.text(0)) // what of the body is not the port
	c.max = room + len(had) - before
	if g.delim != 0 && len(had) > 4 { // after the parenthesis and three delimiters
		c.prefix = strings.TrimRight(had[4:], string(g.delim)+")")
	}
	if g.delim != 0 && len(had) > 4+len(c.prefix) { // the port is whole
		c.only = true
	}
	return c
}

// layOut writes body into a further line of a multi-line reply. Where it does not fit the line names nothing: what the first
// one says cannot be taken back, but some clients read the last one.
func (s *Session) layOut(t *stream, n int, cmd Command, g group, body string) {
	l, had := s.parts(t, n, g)
	var buf [maxLine]byte
	if len(had) <= len(body) && body[:len(had)] == had {
		l.body = body[len(had):]
		if out, ok := l.fit(buf[:0], n); ok {
			t.edit(t.line, out)
			return
		}
	}
	named := netip.AddrPortFrom(g.addr, g.port)
	s.noFit(FromServer, cmd, named, s.advertised())
	t.edit(t.line+g.start, bytes.Repeat([]byte{' '}, min(g.end, n)-g.start))
}

func (s *Session) write(t *stream, out []byte, cmd Command, named netip.AddrPort) {
	if string(out) == string(t.out(t.line, t.line+len(out))) {
		return
	}
	t.edit(t.line, out)
	s.event(Event{Kind: EventRewritten, Dir: FromServer, Command: cmd, Named: named})
}

// body is what clients look for, for port p.
func (s *Session) body(g group, p uint16) string {
	if g.delim == 0 {
		return sixText(s.advertised()) + portText(p)
	}
	b := make([]byte, 0, 16)
	b = append(b, '(', g.delim, g.delim, g.delim)
	b = appendPadded(b, uint64(p), 0)
	b = append(b, g.delim, ')')
	return string(b)
}

// parts takes the line apart at g. had is the part of the body that has
// already gone on, at the end of fixed.
func (s *Session) parts(t *stream, n int, g group) (l layout, had string) {
	line := t.orig[t.line : t.line+n]
	l.open = g.parens && g.delim == 0
	l.close = l.open
	code := min(4, g.start) // with the blank behind it, where that is none of the group's
	l.fixed = line[:code]
	l.tail = line[g.end:]
	k := min(t.frozen(), n)
	if k <= code {
		l.text = line[code:g.start]
		return l, ""
	}
	l.fixed = t.out(t.line, t.line+k)
	switch {
	case k <= g.start:
		l.text = line[k:g.start]
	case g.delim != 0:
		l.glued = true
		had = string(line[g.start:min(k, g.end)])
		l.tail = line[max(k, g.end):]
	default: // the opening parenthesis has gone on
		l.open, l.glued = false, true
	}
	return l, had
}

// refuseReply turns a 227 or 229 into a negative reply, so that the client
// gives up at once. What has already gone on cannot be taken back: then the
// rest is blanked, and no client finds an address.
func (s *Session) refuseReply(t *stream, n int, cmd Command, why Reason, named netip.AddrPort, err error) {
	s.refuseErr(FromServer, cmd, why, named, err)
	s.neutraliseReply(t, n, why)
}

func (s *Session) neutraliseReply(t *stream, n int, why Reason) {
	b := make([]byte, 0, maxLine)
	if t.frozen() == 0 && (s.multi.code == 0 || n > 3 && t.orig[t.line+3] == '-') {
		s.multi.refused = s.multi.code != 0
		b = append(b, "425"...)
		switch {
		case n > 3 && t.orig[t.line+3] == '-':
			b = append(b, '-')
		case n > 3:
			b = append(b, ' ')
		}
	} else {
		b = append(b, t.out(t.line, t.line+min(4, n))...)
	}
	text := "Data connection refused by gateway: " + why.String()
	b = append(b, text[:max(min(len(text), n-len(b)), 0)]...)
	b = appendBlanks(b, n-len(b))
	if t.frozen() > 4 {
		for i := t.frozen(); i < n; i++ {
			b[i] = ' '
		}
	}
	t.edit(t.line, b)
}
