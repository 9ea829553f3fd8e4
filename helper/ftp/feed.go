package ftp

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// feed reads the bytes of a stream that were not scanned yet.
func (s *Session) feed(dir Direction, t *stream) {
	for !s.closing {
		if !t.synced {
			if !s.tail(t) {
				return
			}
			continue
		}
		if s.tlsLine(dir, t) {
			return
		}
		if dir == FromClient && t.mode == lineRead && (s.offered || s.eager(t)) {
			s.asCipher(t)
		}
		i := bytes.IndexByte(t.orig[t.scanned:], '\n')
		if i < 0 {
			s.partLine(dir, t)
			return
		}
		s.endLine(dir, t, t.scanned+i+1)
	}
	t.decided = len(t.orig)
}

// eager reports whether the client, without waiting for the answer to AUTH, sends what looks like TLS. The server may read it
// as such, and the rest as commands.
func (s *Session) eager(t *stream) bool {
	s.hasty = s.pending.has(awaitAUTH) && (s.hasty || t.line < len(t.orig) && tlsByte(t.orig[t.line]))
	return s.hasty
}

// asCipher takes the client's line for one of what looks like TLS. It may have begun before, and read otherwise.
func (s *Session) asCipher(t *stream) {
	t.mode = lineCipher
	if t.watchAll(t.orig[t.line:t.scanned]) {
		s.spoilTail(t)
	}
}

// tlsLine looks for TLS where a line starts. Where it is the server that begins it, there are no more lines.
func (s *Session) tlsLine(dir Direction, t *stream) bool {
	if t.line == len(t.orig) || t.mode != lineRead || !tlsByte(t.orig[t.line]) {
		return false
	}
	if t.unsure && !tlsRecord(t.orig[t.line:]) {
		return false // the place may be one within other bytes
	}
	first := t.origin && t.line == 0 && (s.fresh || t.unsure)
	if dir == FromClient && !first {
		return false // after AUTH the server's word is enough
	}
	if dir == FromServer && t.unsure && !s.looks[FromClient] {
		s.looks[FromServer] = true // the client has to look like it, too
		return false
	}
	s.seesTLS(dir)
	if s.closing {
		t.decided, t.scanned = len(t.orig), len(t.orig)
	}
	return s.closing
}

// endLine acts on the current line, which ends at end.
func (s *Session) endLine(dir Direction, t *stream, end int) {
	if dir == FromClient {
		s.unheard(t, end)
	}
	if t.mode == lineRead && end-t.line > maxLine {
		s.tooLong(dir, t)
	}
	switch t.mode {
	case lineRead:
		if dir == FromClient {
			s.clientLine(t, end)
		} else {
			s.serverLine(t, end)
		}
	case linePass, lineCipher:
		s.passTail(dir, t, end)
		s.longLine(dir, t)
	case linePoison:
		s.poison(dir, t, end)
		s.longLine(dir, t)
	}
	if dir == FromServer {
		s.slow = nil
	}
	t.decided = max(t.decided, end)
	eaten := dir == FromClient && telnetEnds(t.orig[t.line:end])
	mode, seen := t.mode, t.watched()
	t.nextLine(end, dir == FromServer || t.startsAfter(end-1))
	switch { // to some servers what follows belongs to the line before
	case !eaten:
	case mode == lineCipher: // such bytes stand in one handshake of a hundred
		t.mode, t.hitch().seen = mode, seen
	default:
		s.refuse(dir, CmdNone, ReasonObscured, netip.AddrPort{})
		t.mode = linePoison
	}
}

// telnetEnds reports whether the LF of a line is part of a Telnet command (RFC 854): IAC LF, or IAC DO LF.
func telnetEnds(line []byte) bool {
	n := len(line) - 1
	if n > 0 && line[n-1] >= iacOpt && line[n-1] != iac {
		n--
	}
	k := 0
	for k < n && line[n-1-k] == iac { // IAC IAC is a byte of data
		k++
	}
	return k%2 == 1
}

// watched is how far the watches have come.
func (t *stream) watched() (seen [2]watch) {
	if t.trouble != nil {
		seen = t.trouble.seen
	}
	return seen
}

// nextLine begins a line, of which the start is known or not.
func (t *stream) nextLine(at int, known bool) {
	t.line, t.scanned, t.mode, t.unsure, t.synced = at, at, lineRead, !known, known
	t.head = [4]byte{}
	if t.trouble != nil {
		t.trouble.seen = [2]watch{}
	}
}

// partLine looks at a line that has no end yet: all of the stream from t.line on. What may have to be changed is held.
func (s *Session) partLine(dir Direction, t *stream) {
	end := len(t.orig)
	if dir == FromClient {
		s.unheard(t, end)
	}
	if t.mode == lineRead && end-t.line > maxLine {
		s.tooLong(dir, t)
	}
	switch t.mode {
	case lineRead:
		n := 0
		if line := t.orig[t.line:]; dir == FromServer && t.unsure && s.mayHoldAddress(line) {
			break
		} else if dir == FromClient {
			n = s.mayGo(line)
		} else if !s.mustHold(line) {
			n = len(line)
		}
		t.decided = max(t.decided, t.line+n)
	case linePass, lineCipher:
		s.passTail(dir, t, end)
		t.decided = end
	case linePoison:
		s.poison(dir, t, end)
		t.decided = end
	}
	t.scanned = end
}

// mustHold reports whether a reply without its end may turn out to need a change. A 227 that nobody asked for is held as
// well, but not what may become one.
func (s *Session) mustHold(line []byte) bool {
	n := min(len(line), 3)
	if n == 0 {
		return false
	}
	if s.multi.code != 0 {
		return namesPort(int(s.multi.code)) // some clients look for an address in all lines
	}
	if n == 3 {
		if len(line) > 3 && (isLetter(line[3]) || isDigit(line[3])) {
			return false // no code
		}
		code, _, ok := replyCode(line[:3])
		return ok && namesPort(code)
	}
	return string(line[:n]) == "227"[:n] && s.due(227)
}

// mayHoldAddress reports whether the rest of a reply, whose start nobody read, has come to an address of the backend's.
func (s *Session) mayHoldAddress(line []byte) bool {
	if s.restNumbers(line) > 0 {
		return true
	}
	run := line[len(bytes.TrimRight(line, "0123456789,")):]
	for _, a := range s.own() {
		if text := sixText(a); bytes.Contains(line, []byte(text)) || len(run) > 0 && strings.HasPrefix(text, string(run)) {
			return true
		}
	}
	return false
}

// restNumbers is the length of the numbers with commas that a line begins with, where they may be an address of the
// backend's and a port, or the rest of that; otherwise 0.
func (s *Session) restNumbers(line []byte) int {
	run := string(line[:len(line)-len(bytes.TrimLeft(line, "0123456789,"))])
	if !strings.Contains(run, ",") {
		return 0
	}
	for _, a := range s.own() {
		text := sixText(a)
		for k := range len(text) - 1 {
			port, ok := strings.CutPrefix(run, text[k:])
			if ok && strings.Count(port, ",") <= 1 || len(run) == len(line) && strings.HasPrefix(text[k:], run) {
				return len(run)
			}
		}
	}
	return 0
}

// tooLong gives up reading a line: it passes, unless some server may take it
// for a command that must not pass unread.
func (s *Session) tooLong(dir Direction, t *stream) {
	t.mode = linePass
	line := t.orig[t.line:]
	s.event(Event{Kind: EventLineTooLong, Dir: dir})
	if dir != FromClient {
		copy(t.head[:], line)
		s.tooLongReply(t)
		return
	}
	t.watchAll(t.orig[t.line:t.scanned])
	line = line[:min(len(line), maxLine)]
	if mayBeActive(line) || verbUnknown(line) {
		s.refuse(dir, CmdNone, ReasonTooLong, netip.AddrPort{})
		t.mode = linePoison
		blank(t, t.line, t.scanned, 'X')
	}
}

// tooLongReply spoils a 227, 228 or 229 that is too long to be read, and further lines of one.
func (s *Session) tooLongReply(t *stream) {
	const enough = maxLine / 2 // its end is not among so many bytes
	line := t.orig[t.line : t.line+enough]
	inner := s.multi.code != 0
	code, sep, ok := replyCode(line)
	switch {
	case inner:
		code, ok = int(s.multi.code), true
	case !ok:
		code, sep, ok = looseCode(line)
	}
	if t.unsure || !ok || !namesPort(code) {
		return
	}
	t.mode = linePoison
	cmd := CmdPASV
	if code == 229 {
		cmd = CmdEPSV
	}
	switch due := s.due(code); {
	case due && !inner && sep == ' ':
		s.refuseReply(t, enough, cmd, ReasonTooLong, netip.AddrPort{}, nil)
	default:
		if due {
			s.refuse(FromServer, cmd, ReasonTooLong, netip.AddrPort{})
		} else {
			s.event(Event{Kind: EventUnexpected, Dir: FromServer, Command: cmd})
		}
		from := 4
		if inner && string(line[:3]) != strconv.Itoa(code) {
			from = 0
		}
		blank(t, t.line+from, t.line+enough, ' ')
	}
	t.scanned = max(t.scanned, t.line+enough)
}

// passTail lets the bytes up to end go on, unread but for two things. After a bare CR some servers see a new command, and
// some do in the middle of a line that is longer than their buffer (CVE-2008-4247). In what looks like TLS, on offer, they
// may do so anywhere: a server whose TLS library gives up reads the rest as commands. There an active verb stands by
// chance only, once in 10^8 bytes.
func (s *Session) passTail(dir Direction, t *stream, end int) {
	if dir != FromClient {
		return
	}
	prev := t.prev
	if t.scanned > 0 {
		prev = t.orig[t.scanned-1]
	}
	for i := t.scanned; i < end; i++ {
		c := t.orig[i]
		spoil := t.watch(c)
		if t.mode == linePass {
			spoil = spoil || prev == '\r' && c != '\n' && c != '\r'
		}
		if prev = c; spoil {
			t.mode = linePoison
			s.refuse(dir, CmdNone, ReasonObscured, netip.AddrPort{})
			blank(t, i, end, 'X')
			return
		}
	}
}

// watch is how far a line that passes has come towards an active verb and the beginning of its argument.
type watch struct {
	word  [4]byte // the last graphic characters
	step  uint8
	delim byte
	skip  uint8 // bytes of a Telnet command to come
}

// Steps of watch.
const (
	watchNothing uint8 = iota
	watchVerb          // and nothing behind it
	watchBlank
	watchDigits
	watchDelim
	watchFamily
)

// watchAll looks at what of the line was read otherwise so far.
func (t *stream) watchAll(b []byte) (found bool) {
	for _, c := range b {
		found = t.watch(c) || found
	}
	return found
}

// watch looks at the next byte, and reports whether it begins an argument behind an active verb: "PORT 10," or "EPRT |1|".
// In what looks like TLS the verb is enough. Servers differ in which bytes that are not graphic they skip.
func (t *stream) watch(c byte) bool {
	seen := &t.hitch().seen
	plain := seen[0].next(c, t.mode == lineCipher)
	w := &seen[1]
	switch {
	case w.skip > 0:
		if w.skip--; w.skip == 1 && c < iacOpt || c == iac && w.skip == 1 {
			w.skip = 0
		}
		return plain
	case c == iac:
		w.skip = 2
		return plain
	}
	return w.next(c, t.mode == lineCipher) || plain
}

func (w *watch) next(c byte, cipher bool) bool {
	if c <= ' ' || c >= 0x7f {
		if w.step == watchVerb {
			w.step = watchBlank
		}
		return false
	}
	copy(w.word[:], w.word[1:])
	w.word[3] = c
	if slices.Contains(active[:], string(bytes.ToUpper(w.word[:]))) {
		w.step = watchVerb
		return cipher
	}
	step, delim := w.step, w.delim
	w.step, w.delim = watchNothing, 0
	switch {
	case (step == watchBlank || step == watchDigits) && isDigit(c):
		w.step = watchDigits
	case step == watchDigits && c == ',':
		return true
	case step == watchBlank && !isLetter(c):
		w.step, w.delim = watchDelim, c
	case step == watchDelim && (c == '1' || c == '2'):
		w.step, w.delim = watchFamily, delim
	case step == watchFamily && c == delim:
		return true
	}
	return false
}

// poison blanks the bytes up to end.
func (s *Session) poison(dir Direction, t *stream, end int) {
	with := byte(' ')
	if dir == FromClient {
		with = 'x'
	}
	blank(t, t.scanned, end, with)
}

// longLine keeps the books for a line that was not read to its end.
func (s *Session) longLine(dir Direction, t *stream) {
	if dir == FromClient {
		s.commanded(VerbOther)
		s.pending.push(awaitOther)
		return
	}
	code, sep, ok := replyCode(t.head[:])
	switch {
	case !ok:
	case s.multi.code != 0:
		if sep == ' ' && code == int(s.multi.code) {
			s.multi = multi{}
			s.finishLong(code)
		}
	case sep == '-':
		s.multi = multi{code: int16(code)}
	default:
		s.finishLong(code)
	}
}

// finishLong completes a command by a reply that was not read to its end.
func (s *Session) finishLong(code int) {
	if code < 200 {
		return
	}
	s.stats.Replies++
	s.farewell(code)
	switch code {
	case 227, 229:
		s.pending.answered(code)
	default:
		s.pending.complete(code)
	}
}
