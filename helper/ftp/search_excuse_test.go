package ftp

import (
	"bytes"
	"time"
)

// excuse says why a legitimate transfer cannot be made to work, or nothing. from and to are the reply's place in the
// server's stream.
func (h *honest) excuse(from, to int) string {
	w := h.w
	server, client := &w.ends[FromServer], &w.ends[FromClient]
	for _, way := range [...]way{wayOf(server.gens[h.x.from:min(h.x.to, len(server.gens))]), wayOf(client.gens[from:to])} {
		switch {
		case way.unread:
			return "it passed while no helper ran"
		case way.straddles: // what went on cannot be taken back, and nobody remembers it
			return "a helper ended in the middle of it"
		case way.opaque: // after CCC, until a whole line in one segment says so
			return "it passed as TLS"
		}
	}
	if w.cameInPieces(FromClient, h.x.from, h.x.to) {
		return "its first part was lost or a single byte, and it is the first that a new helper sees: perhaps the rest of another line"
	}
	if len(w.server.tlsAt) > 1 && (w.gen > 1 || w.gone) {
		return "after CCC a new helper has to find the start of a line first"
	}
	pieces := h.pace < 3 || w.server.pace < 3 || w.loss > 0 || w.jitter > 0 || len(w.restarts) > 0 || server.recut == 2
	if pieces && w.refusals > h.x.refusals {
		return "its port was taken, and a part of the line may have gone on before that was known"
	}
	if pieces && h.x.pads {
		return "a padded PORT in pieces is no beginning of a PORT of the client's own that is known"
	}
	if pieces && h.x.verb == "PASV" && w.server.text == textItself {
		return "our address is longer than 0,0,0,0, and what is before it may have gone on"
	}
	if pieces && h.x.verb == "PASV" && w.server.names == 0 && w.server.text&^2 == 0 && w.server.port&255 < 10 {
		return "our address is longer than the server's, there is nothing behind it, and what is before it may have gone on"
	}
	if from < to && h.x.to > h.x.from && client.gens[from] != server.gens[h.x.from] && w.now-h.x.asked > creditTime-5*time.Second {
		return "a helper that did not see the command sees a reply that comes late"
	}
	return ""
}

// cameInPieces reports whether a line from from to to was the first that an engine saw, without its start or with
// only a byte of it.
func (w *world) cameInPieces(dir Direction, from, to int) bool {
	for _, f := range w.firsts[dir] {
		if f[0] > from && f[0] < to || f[0] == from && f[1] == 1 {
			return true
		}
	}
	return false
}

// readTLS takes a record, and says the next.
func (h *honest) readTLS() bool {
	rest := h.t.got[h.at:]
	if len(rest) < 5 {
		return false
	}
	n := 5 + int(rest[3])<<8 + int(rest[4])
	if rest[0] < 20 || rest[0] > 23 {
		h.w.fault("tls", "client reads %q in TLS", rest)
		return false
	}
	if len(rest) < n {
		return false
	}
	h.at += n
	h.line = h.at
	h.inTLS--
	h.waits = false
	switch {
	case h.inTLS > 0:
		h.tlsRecord()
	case h.ccc:
		h.w.push(event{at: h.w.now + h.w.dice.ms(0, 300), kind: evThink})
	default:
		h.over = true
	}
	return true
}

// tlsRecord says something in TLS: the last one is CCC, if there is one.
func (h *honest) tlsRecord() {
	what := "R"
	if h.inTLS == 1 && h.ccc {
		what = "C"
	}
	h.say(record(h.w.dice, what))
}

// judgeHonest: what a legitimate client and its server say reaches the other, but for announcements, and for lines that
// the end of a helper, its beginning, or the end of TLS has cut in two: what may be the rest of PORT is spoilt.
func (w *world) judgeHonest() {
	for _, dir := range [...]Direction{FromClient, FromServer} {
		said, got := w.ends[dir].buf, w.ends[1-dir].got
		for at := 0; at < len(got); {
			n := bytes.IndexByte(said[at:], '\n') + 1
			if n == 0 {
				n = len(said) - at
			}
			end := min(at+n, len(got))
			way := wayOf(w.ends[1-dir].gens[at:end])
			unsure := way.gen > 1 || w.gone || len(w.server.tlsAt) > 1
			looks := unsure && bytes.Contains(said[at:end], []byte("port 1"))                   // in a line without a known start
			looks = looks || dir == FromServer && bytes.Contains(said[at:end], []byte("227 x")) // a segment may begin there
			if !bytes.Equal(said[at:end], got[at:end]) && !announces(dir, said[at:at+n]) && !way.straddles && !way.opaque && !looks &&
				!w.cameInPieces(dir, at, end) {
				w.fault("changed", "%q of the %v became %q", said[at:end], dir, got[at:end])
			}
			at += n
		}
	}
}

// announces reports whether a line may be changed. The last TLS record may stand before it.
func announces(dir Direction, line []byte) bool {
	verbs := [...]string{"PORT ", "EPRT "}
	if dir == FromServer {
		verbs = [...]string{"227", "229"}
	}
	line = bytes.ToUpper(line)
	for _, verb := range verbs {
		for k := 0; k < len(line); k++ {
			if bytes.HasPrefix(line[k:], []byte(verb)) && (k == 0 || !printable(line[:k])) {
				return true
			}
		}
	}
	return false
}
