package ftp

import (
	"bytes"
	"net/netip"
	"time"
)

// How long a part of a line is held.
const (
	commitTime = time.Second     // after its last byte, until a part goes on in a form that can still be completed
	holdTime   = 6 * time.Second // after its last byte, until it is refused
	lineTime   = time.Minute     // in all
)

// Deadline is when Expire is to be called; zero: nothing is held.
func (s *Session) Deadline() time.Time {
	var d time.Time
	for i := range s.streams {
		if t := &s.streams[i]; t.holds() {
			if e := s.born.Add(t.trouble.deadline()); d.IsZero() || e.Before(d) {
				d = e
			}
		}
	}
	return d
}

func (h *trouble) deadline() time.Duration {
	if !h.committed {
		return h.last + commitTime
	}
	return min(h.last+holdTime, h.since+lineTime)
}

// Expire releases what was held too long. The sender may be waiting for an
// acknowledgement of the first part of a line before it sends the rest (RFC
// 896), so the part goes on, where there is a form that can still be completed. Otherwise the line is refused in the end.
func (s *Session) Expire(now time.Time, out []Verdict) []Verdict {
	s.now = now.Sub(s.born)
	for i := range s.streams {
		t, dir := &s.streams[i], Direction(i)
		if t.holds() && !t.trouble.committed && s.now >= t.trouble.deadline() {
			t.trouble.committed = true
			s.commit(dir, t)
			out = t.release(out)
		}
		if t.holds() && t.trouble.committed && s.now >= t.trouble.deadline() {
			s.event(Event{Kind: EventHeldTooLong, Dir: dir})
			out = s.giveUp(dir, t, out)
		}
	}
	return out
}

// Finish says that the sender of a direction has ended it: what is held of a line will never be completed.
func (s *Session) Finish(dir Direction, out []Verdict) []Verdict {
	return s.giveUp(dir, &s.streams[dir], out)
}

// commit lets a part of a held line go in a form that can still be completed.
func (s *Session) commit(dir Direction, t *stream) {
	switch {
	case t.mode != lineRead || !t.synced:
	case dir == FromClient:
		s.commitActive(t)
	default:
		s.commitReply(t, false)
	}
}

// letGo makes the part of a line that was held too long final.
func (s *Session) letGo(dir Direction, t *stream) {
	if t.mode == lineRead {
		if dir == FromClient {
			s.letGoClient(t)
		} else {
			s.commitReply(t, true)
		}
	}
	t.decided = len(t.orig)
}

// letGoClient refuses a line of which only a part has come.
func (s *Session) letGoClient(t *stream) {
	line := t.orig[t.line:]
	if t.synced && !mayBeActive(line) {
		return
	}
	v := scanVerb(line, true)
	cmd := CmdNone
	if v.clean && v.n == 4 {
		cmd = v.command()
	}
	s.refuse(FromClient, cmd, ReasonTooSlow, netip.AddrPort{})
	blank(t, t.line, len(t.orig), 'x')
	t.mode = linePoison
}

// commitActive lets the address of a one-arm PORT or EPRT go: the client's own is known in advance, and so is ours in
// its place, padded to the same length. Of the port there goes what is above the last number: a server that makes do
// with a part of the line must not find one of our own ports in it.
func (s *Session) commitActive(t *stream) {
	line := t.orig[t.line:]
	v := scanVerb(line, true)
	cmd := v.command()
	if !s.ends.OneArm() || s.epsvAll || !v.clean || (cmd != CmdPORT && cmd != CmdEPRT) {
		return
	}
	arg := v.end
	for arg < len(line) && line[arg] == ' ' {
		arg++
	}
	if arg == len(line) {
		return
	}
	own, ours := s.leads(cmd, line[arg])
	rest := line[arg:]
	if ours == "" || string(rest[:min(len(own), len(rest))]) != own[:min(len(own), len(rest))] {
		return
	}
	n := min(len(own), len(rest))
	if cmd == CmdPORT && n == len(own) {
		if i := bytes.IndexByte(rest[n:], ','); i > 0 {
			if k := s.portGoes(rest[n : n+i+1]); k == i+1 {
				n += k
			}
		}
	}
	t.edit(t.line+arg, []byte(ours[:min(n, len(ours))]))
	t.decided = max(t.decided, t.line+arg+n)
}

// leads are what a one-arm argument begins with: as the client says it, and at equal length as the backend is to read it.
// ours is "" where that cannot be.
func (s *Session) leads(cmd Command, delim byte) (own, ours string) {
	own = s.ownText(cmd, delim)
	if own == "" {
		return "", ""
	}
	seen := s.ends.Seen.Addr()
	if cmd == CmdPORT {
		return own, padSix(seen, len(own))
	}
	addr := seen.String()
	pad := len(own) - len(addr) - 4 // three delimiters and the family
	if pad > 0 && seen.Is6() {
		long := widen(seen, len(addr)+pad)
		pad -= len(long) - len(addr)
		addr = long
	}
	if pad < 0 {
		return own, ""
	}
	return own, own[:3] + addr + string(delim) + string(bytes.Repeat([]byte{'0'}, pad))
}

// padSix is sixText at n bytes, padded with leading zeros: first of numbers below 8, which no reader takes for octal.
func padSix(a netip.Addr, n int) string {
	text, ok := padNumbers(a.AsSlice(), n-1)
	if !ok {
		return ""
	}
	return string(text) + ","
}
