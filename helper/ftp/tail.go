package ftp

import (
	"bytes"
	"net/netip"
	"strings"
)

// The client's first line after a pick-up may have begun before it: with PORT, for all we know, or with a part of it.
// What could be the rest of such a line is spoilt, so that no part of one ever goes on that was not checked. The helper
// before let nothing go but what is harmless by itself, or the start of the client's own address (mayGo): where the rest
// of exactly that comes, it is taken.

// tail reads the client's line that may have begun before the pick-up, and reports whether from t.line on the lines'
// starts are known.
func (s *Session) tail(t *stream) bool {
	end, whole := len(t.orig), false
	if i := bytes.IndexByte(t.orig[t.scanned:], '\n'); i >= 0 {
		end, whole = t.scanned+i+1, true
	}
	line := t.orig[t.line:end]
	if len(line) == 0 {
		return false
	}
	if t.mode == lineRead && s.tlsTail(t, line) {
		s.asCipher(t)
		s.offered = true // until the server answers in the clear
		s.seesTLS(FromClient)
		if s.closing {
			return true
		}
	}
	s.unheard(t, end)
	if t.mode == lineRead {
		switch {
		case s.ownRest(line, whole):
			if !whole {
				t.scanned = end
				return false // held
			}
			t.decided = max(t.decided, end)
		default:
			switch judgeTail(line, whole) {
			case tailCommand:
				t.synced = true
				return true
			case tailPoison:
				s.spoilTail(t)
			case tailPass:
				t.mode = linePass
			case tailOpen:
				t.decided = max(t.decided, end)
			}
		}
	}
	switch t.mode {
	case linePass, lineCipher:
		s.passTail(FromClient, t, end)
		t.decided = max(t.decided, end)
	case linePoison:
		s.poison(FromClient, t, end)
		t.decided = max(t.decided, end)
	case lineRead:
	}
	t.scanned = end
	if whole {
		t.nextLine(end, t.startsAfter(end-1))
	}
	return whole
}

// tlsTail reports whether the line is one of what looks like TLS, and cannot be the rest of something else.
func (s *Session) tlsTail(t *stream, line []byte) bool {
	first := t.line == 0 && t.origin && (tlsRecord(line) || tlsRecord(prepend(t.prev, line)))
	return (s.offered || first) && (s.allRead(t) || !restBehind(line))
}

// prepend is the start of a line behind a byte that went on alone.
func prepend(c byte, line []byte) []byte { return append([]byte{c}, line[:min(len(line), 2)]...) }

// spoilTail has blanked what of the line is not gone.
func (s *Session) spoilTail(t *stream) {
	s.refuse(FromClient, CmdNone, ReasonUnsynced, netip.AddrPort{})
	t.mode, t.scanned = linePoison, t.line
}

// restBehind reports whether a server that reads nothing but graphic characters finds the rest of an active verb's line in
// what looks like a TLS record: numbers with a comma between, or the end of a verb and a number.
func restBehind(line []byte) bool {
	text := make([]byte, 0, maxLine)
	for _, c := range line[:min(len(line), maxLine)] {
		if c >= ' ' && c < 0x7f {
			text = append(text, c)
		}
	}
	n := 0
	for n < len(text) && n < 4 && isLetter(text[n]) {
		n++
	}
	rest := bytes.TrimLeft(text[n:], " ")
	if n > 0 && (len(rest) == len(text)-n || !restOfActive(strings.ToUpper(string(text[:n])))) {
		return false
	}
	i := 0
	for i < len(rest) && isDigit(rest[i]) {
		i++
	}
	return n > 0 && i > 0 || i+1 < len(rest) && rest[i] == ',' && isDigit(rest[i+1])
}

// tailKind is what a line without a known start can be.
type tailKind uint8

const (
	tailOpen    tailKind = iota // nothing that completes anything has come
	tailCommand                 // a command, from its start
	tailPass                    // no part of an active verb's line
	tailPoison                  // maybe the rest of one
)

// judgeTail decides what the client's line is that may have begun before.
func judgeTail(line []byte, whole bool) tailKind {
	content := splitEnd(line)
	if rest := bytes.TrimLeft(content, " "); len(rest) < len(content) && (len(rest) > 2 || whole) && !startsArgument(rest) {
		return tailPass
	}
	v := scanVerb(content, true)
	if v.n == 0 {
		if v.ended && v.clean && !restOfEprt(content) {
			return tailPass
		}
		if v.ended || whole && !v.clean {
			return tailPoison
		}
		return tailOpen
	}
	word := strings.ToUpper(string(content[v.start:v.end]))
	if v.clean && (word == "V" || word == "SV" || word == "PSV") { // of LPSV, which is complete without an argument
		return tailPoison
	}
	if !v.ended && !whole && v.clean {
		if v.n > 4 {
			return tailPass
		}
		return tailOpen
	}
	next := byte(' ')
	if v.end < len(content) {
		next = content[v.end]
	}
	switch {
	case !v.clean:
		return tailPoison
	case v.n <= 4 && next == ' ' && knownVerb(word):
		return tailCommand
	case whole && v.end == len(content):
		return tailPass // without an argument none of them does anything, but for LPSV
	case isActive(content), restOfActive(word), next != ' ' && isHex(word):
		return tailPoison
	}
	return tailPass
}

// startsArgument reports whether b, after a blank, may be an argument of an active verb or a part of one.
func startsArgument(b []byte) bool {
	switch {
	case len(b) == 0:
		return false
	case !graphic(b): // servers differ in what they skip
		return true
	case isLetter(b[0]):
		return false
	case isDigit(b[0]), b[0] == ',':
		return true
	}
	return len(b) < 3 || b[2] == b[0] // a delimiter, as EPRT has them
}

// restOfEprt reports whether text that begins with neither a letter nor a blank may go on with an argument: with digits, a
// comma, or a delimiter before an address or a port.
func restOfEprt(b []byte) bool {
	if isDigit(b[0]) || b[0] == ',' || b[0] == '.' || b[0] == ':' || !graphic(b) {
		return true
	}
	rest := bytes.TrimLeft(b[1:], "0123456789abcdefABCDEF:.")
	if len(rest) == 0 || rest[0] == b[0] {
		return true
	}
	n := len(b) - len(rest)
	return n > 1 && len(bytes.Trim(b[1:n], "0123456789")) == 0 // a port, with something behind it
}

// allRead reports whether nothing went on before what was read of a stream. The receiver may have less of it, as a client's
// first sequence number is not known before the server has acknowledged it, but nothing else.
func (s *Session) allRead(t *stream) bool { return s.fresh && t.origin && !t.skipped }

// unheard spoils a client's line, up to end, that names an address, as long as the server has not said how much it has:
// it may have another beginning of the line, from before the pick-up. Only the client's own address may go on.
func (s *Session) unheard(t *stream, end int) {
	line := t.orig[t.line:end]
	known := t.synced && !t.unsure && t.hasHeard && int32(t.base+uint32(t.line)-t.heard) >= 0 //nolint:gosec // an index
	cipher := t.mode == lineCipher && s.allRead(t)                                            // a verb in it is found (watch)
	if known || cipher || t.mode == linePoison || !namesAddress(line) {
		return
	}
	if cmd, at, ok := argument(line); ok {
		own := s.ownText(cmd, line[at])
		if n := min(len(own), len(line)-at); n > 0 && string(line[at:at+n]) == own[:n] {
			return
		}
	}
	s.spoilTail(t)
}

// namesAddress reports whether the argument of PORT, EPRT or LPRT, or a part of one that names a host, stands anywhere.
func namesAddress(b []byte) bool {
	text := make([]byte, 0, maxLine)
	for _, c := range b[:min(len(b), maxLine)] { // servers differ in what they skip
		if c > ' ' && c < 0x7f {
			text = append(text, c)
		}
	}
	run, dotted := false, false // within hexadecimal digits, dots and colons; there was a dot or colon among them
	for i, c := range text {
		prev, next := byte(0), byte(0)
		if i > 0 {
			prev = text[i-1]
		}
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch {
		case c == ',' && isDigit(prev) && isDigit(next):
			return true
		case (next == '1' || next == '2') && i+2 < len(text) && text[i+2] == c && !isDigit(c) && !isLetter(c) && startsHost(text[i+3:]):
			return true
		case isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f':
			run = true
		case (c == '.' || c == ':') && run:
			dotted = true
		case dotted && !isLetter(c) && isDigit(next):
			return true
		default:
			run, dotted = false, false
		}
	}
	return false
}

// startsHost reports whether text begins with an address, as far as a dot or colon.
func startsHost(b []byte) bool {
	n := len(b) - len(bytes.TrimLeft(b, "0123456789abcdefABCDEF"))
	return n > 0 && n < len(b) && (b[n] == '.' || b[n] == ':')
}

// restOfActive reports whether a word is the end of an active verb.
func restOfActive(word string) bool {
	for _, verb := range active {
		if strings.HasSuffix(verb, word) {
			return true
		}
	}
	return false
}

// isHex reports whether a word may be part of an IPv6 address.
func isHex(word string) bool { return strings.Trim(word, "ABCDEF") == "" }

// ownRest looks for the rest of a PORT or EPRT that names the client itself, of which a part has gone on before the
// pick-up. Where the line is whole the expectation is made. In one-arm mode the backend has read another address.
func (s *Session) ownRest(line []byte, whole bool) bool {
	if s.ends.OneArm() || s.policy.FXPAllow {
		return false
	}
	content := line
	if whole {
		content = splitEnd(line)
	}
	for _, cmd := range [...]Command{CmdPORT, CmdEPRT} {
		delim := byte('|')
		if n := len(content); cmd == CmdEPRT && whole && n > 0 {
			delim = content[n-1]
		}
		own := s.ownText(cmd, delim)
		if own == "" {
			continue
		}
		full := cmd.String() + " " + own
		for k := 1; k < len(full); k++ {
			rest := full[k:]
			n := min(len(rest), len(content))
			if !strings.EqualFold(rest[:n], string(content[:n])) || !whole && n < len(rest) && restIsWord(rest[:n]) {
				continue
			}
			if !whole && strings.Trim(string(content[n:]), "0123456789,|\r") == "" {
				return true
			}
			if whole && n == len(rest) && s.openRest(cmd, own+string(content[n:])) {
				return true
			}
		}
	}
	return false
}

// restIsWord reports whether nothing but letters has come: that goes on by itself.
func restIsWord(b string) bool {
	return strings.IndexFunc(b, func(r rune) bool { return !isLetter(byte(r)) }) < 0
}

// openRest makes the expectation for an argument that is complete now.
func (s *Session) openRest(cmd Command, arg string) bool {
	var (
		to    netip.AddrPort
		octal bool
	)
	if cmd == CmdPORT {
		var ok bool
		if to, octal, ok = parsePort([]byte(arg)); !ok {
			return false
		}
	} else {
		e, why := parseEprt([]byte(arg))
		if why != ReasonNone {
			return false
		}
		to, octal = e.to, e.octal
	}
	if s.checkActive(to, octal) != ReasonNone {
		return false
	}
	d := DataConn{Command: cmd, At: to, Port: to.Port(), To: to}
	if err := s.opener.Open(d); err != nil {
		return false
	}
	s.commanded(VerbOf(cmd.String()))
	s.stats.Opened[cmd]++
	s.event(Event{Kind: EventExpected, Command: cmd, Data: d})
	s.pending.push(awaitOther)
	return true
}
