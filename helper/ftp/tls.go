package ftp

// A session is opaque once both ends have begun TLS: the client where it had AUTH accepted, or where its bytes look like
// TLS from the start; the server where a TLS record stands in the place of a reply. A server that goes on in the clear
// never does that, whatever the client sends, so until then the client is read. From then on nobody on the way can read
// the session, and what the server does with a PORT is its own decision, as it would be with an encrypted one.

// tlsByte reports whether a line starts as a TLS record does (RFC 8446, section 5.1). No reply and no command does.
func tlsByte(c byte) bool { return c >= 0x14 && c <= 0x17 }

// tlsRecord reports whether b starts with the header of a TLS record.
func tlsRecord(b []byte) bool { return len(b) >= 3 && tlsByte(b[0]) && b[1] == 3 && b[2] <= 4 }

// seesTLS notes that one direction looks like TLS, and makes the session opaque where both do.
func (s *Session) seesTLS(dir Direction) {
	s.looks[dir] = true
	if s.looks[FromClient] && s.looks[FromServer] && !s.opaque && !s.closing {
		s.stats.TLS = true
		s.closing = true
		s.event(Event{Kind: EventOpaque})
	}
}

// noTLS says that the server, having accepted AUTH, answers in the clear. Of what the client has sent since then its TLS
// library has taken some: where the next line starts nobody knows.
func (s *Session) noTLS() {
	s.offered, s.accepted, s.looks[FromClient] = false, false, false
	t := &s.streams[FromClient]
	if !t.known || t.line == len(t.orig) {
		return
	}
	if t.holds() {
		s.letGo(FromClient, t)
	}
	if t.mode == lineRead {
		t.watchAll(t.orig[t.line:])
	}
	seen := t.watched() // a verb that has gone on
	t.nextLine(len(t.orig), false)
	t.hitch().seen = seen
	t.decided = len(t.orig)
}

// closeStreams makes the session opaque and lets go of everything held.
func (s *Session) closeStreams(out []Verdict) []Verdict {
	s.closing, s.opaque, s.offered = false, true, false
	for i := range s.streams {
		out = s.flush(&s.streams[i], out)
		s.streams[i].synced = false
	}
	return out
}

// resume decides whether an opaque session is readable again: after CCC (RFC
// 4217, section 12.3) or a failed handshake. No piece of a TLS record looks
// like whole lines of FTP. What was said before the session became opaque may
// be repeated.
func (s *Session) resume(dir Direction, seq uint32, b []byte) bool {
	t := &s.streams[dir]
	if t.known && int32(seq-t.next()) < 0 {
		return false
	}
	if !plainText(dir, b) {
		return false
	}
	s.opaque, s.fresh, s.offered, s.accepted = false, false, false, false
	s.looks = [2]bool{}
	s.credit, s.since = true, s.now
	for i := range s.streams {
		s.streams[i].known = false
	}
	s.pending, s.multi = pending{}, multi{}
	s.event(Event{Kind: EventReadable, Dir: dir})
	return true
}
