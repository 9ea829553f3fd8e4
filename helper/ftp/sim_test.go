package ftp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sim is two senders, the engine, and two receivers.
type sim struct {
	t      testing.TB
	s      *Session
	now    time.Time
	stream [2][]byte // what the senders say
	sent   [2]int    // how far they have come
	base   [2]uint32
	got    [2][]byte // what the receivers have, zero-filled, and
	have   [2][]bool // which of it
	held   map[uint32]simSeg
	tag    uint32
	lost   bool // a gap was given up: nothing more to be said about the rest
	opaque bool
}

type simSeg struct {
	dir    Direction
	at     int
	b      []byte
	forged bool
}

func newSim(t testing.TB, e Endpoints, talk, replies string) *sim {
	s := &sim{t: t, now: time.Unix(1700000000, 0), held: map[uint32]simSeg{}, base: [2]uint32{0xffffff80, 77}}
	s.stream = [2][]byte{[]byte(talk), []byte(replies)}
	for i, b := range s.stream {
		s.got[i], s.have[i] = make([]byte, len(b)), make([]bool, len(b))
	}
	s.s = NewSession(&e, &Policy{}, Fresh, s)
	s.s.OnEvent(func(e Event) {
		s.lost = s.lost || e.Kind == EventGap || e.Kind == EventPickedUp
		s.opaque = s.opaque || e.Kind == EventOpaque
	})
	return s
}

// Open checks what the engine asks for.
func (s *sim) Open(d DataConn) error {
	switch {
	case d.Passive && (d.To.Addr() != backend4.Addr() || d.At.Addr() != vip4.Addr()),
		!d.Passive && d.To.Addr() != client4.Addr(),
		d.Port < 1024 || d.To.Port() < 1024 || d.At.Port() != d.Port:
		s.t.Fatalf("opened %+v", d)
	}
	return nil
}

func (s *sim) honest(dir Direction, n int) {
	n = min(n, len(s.stream[dir])-s.sent[dir])
	at := s.sent[dir]
	s.sent[dir] += n
	s.send(dir, at, n, false)
}

func (s *sim) send(dir Direction, at, n int, forge bool) {
	at = min(at, len(s.stream[dir]))
	n = min(n, len(s.stream[dir])-at)
	if n <= 0 || s.lost {
		return
	}
	if at <= s.sent[dir] && !forge {
		s.sent[dir] = max(s.sent[dir], at+n)
	}
	b := bytes.Clone(s.stream[dir][at : at+n])
	if forge {
		b[n/2] ^= 0x15
	}
	s.tag++
	s.held[s.tag] = simSeg{dir, at, bytes.Clone(b), forge}
	if simTrace {
		s.t.Logf("%v at %d %q forged %v", dir, at, b, forge)
	}
	s.take(s.s.Segment(s.now, dir, Segment{Seq: s.base[dir] + uint32(at), Ack: s.ack(1 - dir), Payload: b}, s.tag, nil))
}

// ack is what the receiver of a direction acknowledges.
func (s *sim) ack(dir Direction) uint32 {
	n := slices.Index(s.have[dir], false)
	if n < 0 {
		n = len(s.have[dir])
	}
	return s.base[dir] + uint32(n)
}

func (s *sim) expire(d time.Duration) {
	s.now = s.now.Add(d)
	s.take(s.s.Expire(s.now, nil))
	if dl := s.s.Deadline(); !dl.IsZero() && !dl.After(s.now) {
		s.t.Fatal("a deadline that has passed")
	}
}

func (s *sim) take(vs []Verdict) {
	for _, v := range vs {
		seg, ok := s.held[v.Tag]
		if !ok {
			s.t.Fatalf("a second verdict for %d", v.Tag)
		}
		delete(s.held, v.Tag)
		if simTrace {
			s.t.Logf("verdict %+v on %q", v, seg.b)
		}
		b := seg.b
		if v.Action == Drop {
			continue
		}
		if v.Action == Rewrite {
			b = v.Payload
		}
		if len(b) != len(seg.b) {
			s.t.Fatalf("%d bytes became %d", len(seg.b), len(b))
		}
		if s.lost || s.opaque {
			continue
		}
		if seg.forged && v.Action == Pass && len(b) > 1 && s.have[seg.dir][seg.at] && s.have[seg.dir][seg.at+len(b)-1] {
			s.t.Fatalf("a forged retransmission passed: %q", b)
		}
		if seg.forged && (len(b) > 1 || !s.have[seg.dir][seg.at]) {
			// New bytes, then: who comes first is right.
			copy(s.stream[seg.dir][seg.at:], seg.b)
			s.sent[seg.dir] = max(s.sent[seg.dir], seg.at+len(b))
		}
		for i, c := range b {
			at := seg.at + i
			if s.have[seg.dir][at] && s.got[seg.dir][at] != c {
				s.t.Fatalf("byte %d from the %v was %q, now %q: %q", at, seg.dir, s.got[seg.dir][at], c, b)
			}
			s.have[seg.dir][at], s.got[seg.dir][at] = true, c
		}
	}
}

// drain lets the senders repeat what was not received until all of it was.
func (s *sim) drain() {
	for round := 0; ; round++ {
		done := true
		for dir := range s.stream {
			at := 0
			for at < len(s.have[dir]) && s.have[dir][at] {
				at++
			}
			if at < len(s.have[dir]) {
				done = false
				s.send(Direction(dir), at, min(100, len(s.have[dir])-at), false)
			}
		}
		s.expire(holdTime)
		if s.lost || s.opaque {
			return
		}
		if len(s.held) > 0 {
			s.t.Fatalf("%d segments are still held", len(s.held))
		}
		if done {
			return
		}
		if round > 1000 {
			s.t.Fatal("the session stalls")
		}
	}
}

// check compares what was said with what was received, line by line.
func (s *sim) check() {
	if s.lost || s.opaque {
		return
	}
	for dir := range s.stream {
		at, eaten, multi := 0, false, 0
		for line := range bytes.SplitAfterSeq(s.stream[dir], []byte{'\n'}) {
			got := s.got[dir][at : at+len(line)]
			at += len(line)
			before := eaten
			if eaten = Direction(dir) == FromClient && len(line) > 0 && telnetEnds(line); before {
				continue // to some servers it belongs to the line before
			}
			inner := multi
			if code, sep, ok := replyCode(splitEnd(line)); Direction(dir) == FromServer && ok && (multi == 0 || code == multi) {
				if multi = 0; sep == '-' {
					multi = code
				}
			}
			if len(line) > maxLine || bytes.Equal(line, got) {
				continue
			}
			if Direction(dir) == FromServer {
				code, _ := strconv.Atoi(string(line[:min(len(line), 3)]))
				if !namesPort(code) && !namesPort(inner) {
					s.t.Fatalf("%q became %q", line, got)
				}
				continue
			}
			if !bytes.HasSuffix(line, []byte("\n")) && mayBeActive(line) {
				continue // held for a rest that does not come
			}
			if slowAndObscured(line) {
				continue
			}
			if !spellsActive(string(line)) && !spellsActive(stripTelnet(string(line))) {
				s.t.Fatalf("%q became %q", line, got)
			}
		}
	}
}

// slowAndObscured reports whether a part of a line may become an active verb with bytes in it that servers differ about, or
// behind blanks, which some skip: if the line comes slowly, it is spoilt from there.
func slowAndObscured(line []byte) bool {
	for k := 1; k < len(line); k++ {
		if (!graphic(line[:k]) || line[0] == ' ') && mayBeActive(line[:k]) {
			return true
		}
	}
	return false
}

// spellsActive reports whether the letters of a line spell one of the verbs that may be changed.
func spellsActive(line string) bool {
	letters := strings.Map(func(r rune) rune {
		if r < 0x80 && isLetter(byte(r)) {
			return r &^ 0x20
		}
		return -1
	}, line)
	return slices.ContainsFunc(active[:], func(verb string) bool { return strings.Contains(letters, verb) })
}

// simTrace shows every segment and verdict of FuzzSession.
const simTrace = false
