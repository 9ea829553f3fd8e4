package ftp

import (
	"bytes"
	"net/netip"
)

// feed reads the bytes of a stream that were not scanned yet; the current
// segment's new ones start at from.
func (s *Session) feed(dir Direction, t *stream, from int) {
	if !t.synced {
		i, ok := findLine(dir, t.orig[from:])
		if !ok {
			t.decided, t.line, t.scanned = len(t.orig), len(t.orig), len(t.orig)
			return
		}
		t.synced = true
		t.decided, t.line, t.scanned, t.mode = from+i, from+i, from+i, lineRead
	}
	for !s.closing {
		i := bytes.IndexByte(t.orig[t.scanned:], '\n')
		if i < 0 {
			s.partLine(dir, t)
			return
		}
		s.endLine(dir, t, t.scanned+i+1)
	}
	t.decided = len(t.orig)
}

// endLine acts on the current line, which ends at end.
func (s *Session) endLine(dir Direction, t *stream, end int) {
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
	case linePass:
		s.passTail(dir, t, end)
		s.longLine(dir, t)
	case linePoison:
		s.poison(dir, t, end)
		s.longLine(dir, t)
	}
	if dir == FromServer {
		s.started = 0
	}
	t.decided = max(t.decided, end)
	t.line, t.scanned, t.mode = end, end, lineRead
}

// partLine looks at a line that has no end yet: all of the stream from t.line
// on. It is held if it may have to be changed.
func (s *Session) partLine(dir Direction, t *stream) {
	end := len(t.orig)
	if t.mode == lineRead && end-t.line > maxLine {
		s.tooLong(dir, t)
	}
	switch t.mode {
	case lineRead:
		if !s.mustHold(dir, t.orig[t.line:]) {
			t.decided = end
		}
	case linePass:
		s.passTail(dir, t, end)
		t.decided = end
	case linePoison:
		s.poison(dir, t, end)
		t.decided = end
	}
	t.scanned = end
}

// mustHold reports whether a line may turn out to need a change.
func (s *Session) mustHold(dir Direction, line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if dir == FromClient {
		return mayBeActive(line)
	}
	for _, code := range [...]int{227, 229} {
		text := "227"
		if code == 229 {
			text = "229"
		}
		n := min(len(line), 3)
		if string(line[:n]) == text[:n] && s.due(code) {
			last := len(line) < 4 || line[3] == ' ' || line[3] == '\r' // as replyCode has it
			if s.multi.code == 0 || int(s.multi.code) == code && last {
				return true
			}
		}
	}
	return false
}

// tooLong gives up reading a line: it passes, unless some server may take it
// for a command that must not pass unread.
func (s *Session) tooLong(dir Direction, t *stream) {
	t.mode = linePass
	line := t.orig[t.line:]
	copy(t.head[:], line)
	s.event(Event{Kind: EventLineTooLong, Dir: dir})
	if dir != FromClient {
		return
	}
	line = line[:min(len(line), maxLine)]
	if mayBeActive(line) || verbUnknown(line) {
		s.refuse(dir, CmdNone, ReasonTooLong, netip.AddrPort{})
		t.mode = linePoison
		blank(t, t.line, t.scanned, 'X')
	}
}

// passTail lets the bytes up to end go on. After a bare CR some servers see a
// new command: not in a line that nobody reads.
func (s *Session) passTail(dir Direction, t *stream, end int) {
	if dir != FromClient {
		return
	}
	for i := t.scanned; i < end; i++ {
		if i > 0 && t.orig[i-1] == '\r' && t.orig[i] != '\n' && t.orig[i] != '\r' && i-1 >= t.line {
			t.mode = linePoison
			s.refuse(dir, CmdNone, ReasonObscured, netip.AddrPort{})
			blank(t, i, end, 'X')
			return
		}
	}
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
		s.stats.Commands++
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
	switch code {
	case 227:
		s.pending.take(awaitPASV)
	case 229:
		s.pending.take(awaitEPSV)
	default:
		s.pending.complete(code)
	}
}
