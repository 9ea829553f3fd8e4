package ftp

import (
	"bytes"
	"time"
)

// Bounds of what one direction of a control connection may make us remember.
const (
	minHistory = 64       // first allocation
	maxHistory = 16 << 10 // bytes kept for checking retransmissions, where nothing says that the receiver has them
	maxAcked   = 1 << 10  // where it has
	maxLine    = 512      // longest line that is held or acted on; RFC 959 sets no limit, servers do
	maxHeld    = 64       // segments held for one line
	maxLater   = 8        // pieces beyond a gap
)

// lineMode says what becomes of the rest of the current line.
type lineMode uint8

const (
	lineRead   lineMode = iota // assembled, and acted on when whole
	linePass                   // passes unread up to its end
	linePoison                 // is blanked up to its end
	lineCipher                 // looks like a TLS record: passes up to the next line end
)

// trouble is what a stream needs only now and then: thousands of sessions are kept for long, and most do without.
type trouble struct {
	held      []held
	since     time.Duration // when the first of held came, as Session.now
	last      time.Duration // when the last of held came
	committed bool          // since then a part was let go, or could not be
	gap       gap
	seen      [2]watch   // what passTail has come to, with Telnet commands taken for such and not
	later     []fragment // what went on beyond a gap, before the stream was started farther back
}

// fragment is bytes from a place in a stream on.
type fragment struct {
	seq uint32
	b   []byte
}

// held is a segment without a verdict.
type held struct {
	tag uint32
	seq uint32
	n   int
}

// gap remembers the first of the segments that came too early.
type gap struct {
	seq   uint32
	count int
	since time.Duration
	last  time.Duration
}

// stream is one direction: what was received in order, and what was made of it.
//
// Positions are indexes into orig; sequence numbers are base plus an index, so
// that they wrap around by themselves (RFC 9293, section 3.4).
type stream struct {
	orig []byte // bytes as they came, from base on

	// What went on in place of orig[sentAt:sentAt+len(sent)]; around that there is no difference.
	sent   []byte
	sentAt int

	line    int // where the current line starts
	scanned int // no line end before this
	decided int // bytes before this are final and may have gone on

	base     uint32 // sequence number of orig[0]
	editedTo uint32 // end of the last rewritten range
	acked    uint32 // the highest acknowledgement of the other end, of bytes that came this way
	heard    uint32 // client's: from here on the server has nothing that did not come this way; server's: what the client claims to have

	head [4]byte  // first bytes of the current line, where mode is not lineRead
	mode lineMode // of the current line
	prev byte     // before orig[0]

	known    bool // base is valid
	met      bool // was known before
	guess    bool // base is only what a client acknowledges
	wary     bool // before a pick-up: a segment was let come again
	synced   bool // the current line's start is known
	unsure   bool // the current line may have begun before the pick-up
	origin   bool // base is where the stream was picked up: nothing was discarded since
	skipped  bool // what is before base never came here, and must not come any more
	edited   bool // editedTo is valid
	hasAcked bool // acked is valid
	hasHeard bool // heard is valid
	ended    bool // the server has acknowledged a byte more than came: the client's FIN, or a byte that did not come this way

	trouble *trouble // nil where there never was any: see hitch
}

// holds reports whether segments are held.
func (t *stream) holds() bool { return t.trouble != nil && len(t.trouble.held) > 0 }

// hitch is the trouble, of which there is some from now on.
func (t *stream) hitch() *trouble {
	if t.trouble == nil {
		t.trouble = &trouble{}
	}
	return t.trouble
}

// next is the sequence number after the last byte received in order.
func (t *stream) next() uint32 { return t.base + uint32(len(t.orig)) }

// reset forgets everything and starts at seq.
func (t *stream) reset(seq uint32) {
	*t = stream{
		orig: t.orig[:0], base: seq, known: true, met: true, origin: true,
		edited: t.edited, editedTo: t.editedTo, hasAcked: t.hasAcked, acked: t.acked, trouble: t.trouble,
	}
	if t.trouble != nil {
		*t.trouble = trouble{held: t.trouble.held[:0], later: t.trouble.later}
	}
}

// append takes in-order bytes. Room is made at the front, but never at the
// expense of the current segment (from keep on), of a held one, or of a line
// that is still read.
func (t *stream) append(b []byte, keep int) {
	if need := len(t.orig) + len(b); need > maxHistory {
		cut := min(need-maxHistory/2, keep, t.decided)
		if t.mode == lineRead {
			cut = min(cut, t.line)
		}
		if cut = min(cut, t.firstHeld()); cut > 0 {
			t.discard(cut)
		}
	}
	t.orig = grow(t.orig, len(b))
	t.orig = append(t.orig, b...)
}

// keepLater prepares a start of the stream farther back, with a gap before what is known. That must not come again with
// other bytes: the receiver may have kept the first ones. It is not ok where more would have to be kept.
func (t *stream) keepLater() bool {
	h := t.hitch()
	if len(h.later) >= maxLater {
		return false
	}
	h.later = append(h.later, fragment{t.base, bytes.Clone(t.orig)})
	return true
}

// differs reports whether b, from seq on, contradicts what was kept.
func (t *stream) differs(seq uint32, b []byte) bool {
	if t.trouble == nil {
		return false
	}
	for _, p := range t.trouble.later {
		at := int(int32(seq - p.seq))
		from, to := max(at, 0), min(at+len(b), len(p.b))
		if from < to && !bytes.Equal(p.b[from:to], b[from-at:to-at]) {
			return true
		}
	}
	return false
}

// startsAfter reports whether a line that starts after a LF at position i starts there for the receiver, too: not where it may
// have had that byte already, from a copy that did not come this way.
func (t *stream) startsAfter(i int) bool {
	return t.hasHeard && int32(t.base+uint32(i)-t.heard) >= 0 //nolint:gosec // an index
}

// firstHeld is the lowest position of a held segment, or the end of what is known.
func (t *stream) firstHeld() int {
	first := len(t.orig)
	if t.trouble != nil {
		for _, h := range t.trouble.held { // one that begins farther back may have come later
			first = min(first, t.index(h.seq))
		}
	}
	return first
}

// has reports whether the receiver has acknowledged everything before seq.
func (t *stream) has(seq uint32) bool { return t.hasAcked && int32(t.acked-seq) >= 0 }

// trim forgets what the receiver has acknowledged, and gives the memory back.
func (t *stream) trim() {
	if len(t.orig) <= maxAcked || !t.hasAcked {
		return
	}
	cut := min(t.index(t.acked), t.decided, t.line)
	if cut = min(cut, t.firstHeld()); cut <= 0 {
		return
	}
	t.discard(cut)
	if cap(t.orig) > maxAcked && len(t.orig) <= maxAcked/2 {
		t.orig = grow(bytes.Clone(t.orig), minHistory)
	}
	if cap(t.sent) > maxAcked && len(t.sent) <= maxAcked/2 {
		t.sent = bytes.Clone(t.sent)
	}
}

// index is the position of seq.
func (t *stream) index(seq uint32) int { return int(int32(seq - t.base)) }

// grow makes room for n more bytes, starting small and in small steps: most
// control connections never carry more than a few hundred bytes.
func grow(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	c := max(cap(b), minHistory)
	for c < need {
		c += c / 2
	}
	g := make([]byte, len(b), c)
	copy(g, b)
	return g
}

// discard forgets the first n bytes.
func (t *stream) discard(n int) {
	t.prev = t.orig[n-1]
	t.orig = t.orig[:copy(t.orig, t.orig[n:])]
	gone := min(max(n-t.sentAt, 0), len(t.sent))
	t.sent = t.sent[:copy(t.sent, t.sent[gone:])]
	if t.sentAt = max(t.sentAt-n, 0); len(t.sent) == 0 {
		t.sentAt = 0
	}
	t.base += uint32(n)
	t.line = max(t.line-n, 0)
	t.scanned = max(t.scanned-n, 0)
	t.decided -= n
	t.origin = false
}

// out returns what goes on for orig[from:to]. It is not to be changed.
func (t *stream) out(from, to int) []byte {
	end := t.sentAt + len(t.sent)
	switch {
	case to <= t.sentAt || from >= end:
		return t.orig[from:to]
	case from >= t.sentAt && to <= end:
		return t.sent[from-t.sentAt : to-t.sentAt]
	}
	b := bytes.Clone(t.orig[from:to])
	lo, hi := max(from, t.sentAt), min(to, end)
	copy(b[lo-from:], t.sent[lo-t.sentAt:hi-t.sentAt])
	return b
}

// cover makes sent reach from position from to the end of orig.
func (t *stream) cover(from int) {
	if len(t.sent) == 0 {
		t.sentAt = from
	}
	if k := t.sentAt - from; k > 0 {
		t.sent = append(bytes.Clone(t.orig[from:t.sentAt]), t.sent...)
		t.sentAt = from
	}
	rest := t.orig[t.sentAt+len(t.sent):]
	t.sent = append(grow(t.sent, len(rest)), rest...)
}

// edit sets what goes on for the bytes from position at on. Bytes that were
// decided before are left alone.
func (t *stream) edit(at int, b []byte) {
	if skip := t.decided - at; skip > 0 {
		if skip >= len(b) {
			return
		}
		at, b = at+skip, b[skip:]
	}
	if bytes.Equal(t.out(at, at+len(b)), b) {
		return
	}
	t.cover(min(at, t.line)) // whole lines, so that a segment is hardly ever covered in part
	copy(t.sent[at-t.sentAt:], b)
	t.edited, t.editedTo = true, t.base+uint32(at+len(b))
}

// frozen is how many bytes of the current line are final.
func (t *stream) frozen() int { return max(t.decided-t.line, 0) }

// verdict decides on bytes that are final.
func (t *stream) verdict(tag uint32, at, n int) Verdict {
	if at >= t.sentAt+len(t.sent) || at+n <= t.sentAt {
		return Verdict{Tag: tag}
	}
	b := t.out(at, at+n)
	if bytes.Equal(b, t.orig[at:at+n]) {
		return Verdict{Tag: tag}
	}
	return Verdict{Tag: tag, Action: Rewrite, Payload: b}
}

// repeated decides on a segment of an encrypted session: what was said before goes on as it did then.
func (t *stream) repeated(tag, seq uint32, b []byte) Verdict {
	at := t.index(seq)
	if t.known && t.skipped && at < 0 {
		return Verdict{Tag: tag, Action: Drop} // nobody has read it
	}
	from, to := max(at, 0), min(at+len(b), len(t.orig))
	if !t.known || from >= to || bytes.Equal(t.out(from, to), b[from-at:to-at]) {
		return Verdict{Tag: tag}
	}
	b = bytes.Clone(b)
	copy(b[from-at:], t.out(from, to))
	return Verdict{Tag: tag, Action: Rewrite, Payload: b}
}

// release appends the verdicts on all held segments that are decided by now.
func (t *stream) release(out []Verdict) []Verdict {
	if t.trouble == nil {
		return out
	}
	list := t.trouble.held
	n := 0
	for _, h := range list {
		at := t.index(h.seq)
		if at+h.n > t.decided {
			break
		}
		out = append(out, t.verdict(h.tag, at, h.n))
		n++
	}
	if n > 0 {
		t.trouble.held = list[:copy(list, list[n:])]
	}
	return out
}
