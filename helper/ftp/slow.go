package ftp

import (
	"bytes"
	"net/netip"
	"strings"
)

// A 227 that comes so slowly that its parts have to go on one by one is rewritten as it comes: ours stands for the
// backend's address as soon as that begins, and the port's digits go as they are, in the hope that the port is to be had.
// Session.slow is how far that has come.

// commitReply lets a part of a 227 or 229 go. With last set it is the end: what cannot go is blanked.
func (s *Session) commitReply(t *stream, last bool) {
	line := t.orig[t.line:]
	switch {
	case len(line) <= 4, string(line[:3]) == "229" && s.multi.code == 0 && s.due(229) && namesPortOnly(line):
		t.decided = len(t.orig)
		return
	case string(line[:3]) == "227" && (s.multi.code == 0 || s.multi.code == 227 && s.multi.body == "" && !s.multi.refused) && line[3] == ' ' && s.due(227):
		content := splitEnd(line)
		k := max(t.frozen(), 4)
		if len(content) <= k {
			t.decided = len(t.orig)
			return
		}
		if out, p, ok := s.lay227(t, content, k, false); ok {
			t.edit(t.line+k, out)
			if s.slow = nil; p.text != "" {
				s.slow = &p
			}
			t.decided = len(t.orig)
			return
		}
	}
	if !last {
		return
	}
	s.refuse(FromServer, CmdPASV, ReasonTooSlow, netip.AddrPort{})
	from := t.line + 4
	if code, _, ok := replyCode(line); s.multi.code != 0 && (!ok || code != int(s.multi.code)) { // a line of text
		from = t.line
	}
	blank(t, from, len(t.orig), ' ')
	copy(t.head[:], line)
	t.mode = linePoison
}

// namesPortOnly reports whether a 229 has named no address so far: what it names begins with three delimiters.
func namesPortOnly(line []byte) bool {
	_, in, _ := bytes.Cut(line, []byte{'('})
	for i := range min(len(in), 3) {
		if c := in[i]; c != in[0] || c < 33 || c > 126 || isDigit(c) {
			return false
		}
	}
	return true
}

// lay227 writes what goes on for content, a 227 as far as it has come, after its first k bytes, which are gone. It
// returns what Session.slow is then. It is not ok where that cannot be completed to a line that any client reads.
// With whole set nothing more comes.
func (s *Session) lay227(t *stream, content []byte, k int, whole bool) (out []byte, p slow, ok bool) {
	if !s.advertised().Is4() {
		return nil, p, false
	}
	rest, avail := content[k:], len(content)-k
	at := bytes.IndexAny(content[4:], "0123456789") + 4
	if at < 4 { // text, which could have made room
		return rest, p, true
	}
	n, port, after, ok := s.named(content[at:])
	if !ok {
		return nil, p, false
	}
	if n == 0 {
		n = s.likely(content[at:])
	}
	switch {
	case s.slow != nil:
		p = *s.slow
		p.widen(n - p.length)
	case at < k:
		return nil, p, false
	default:
		p = s.lead(content[k:at], t.out(t.line, t.line+k)[k-1], n)
	}
	if over := len(p.text) + len(port) - p.gone - avail; whole && over > 0 { // a port of fewer digits may do
		if over >= len(port) {
			return nil, p, false
		}
		port, after = port[:len(port)-over], ""
	}
	p.port = port
	line := p.text + port + after
	line = line[min(p.gone, len(line)):]
	if len(line) < avail && !whole {
		return nil, p, false
	}
	p.gone += min(avail, len(line))
	line += strings.Repeat(" ", max(avail-len(line), 0))
	return []byte(line[:avail]), p, true
}

// slow is how far a 227 has gone on that comes in slow pieces.
type slow struct {
	text   string // what stands for our address and what is before it, from where it began to differ; "" where nothing has
	length int    // of the backend's address, for which it makes up
	gone   int    // bytes of text, of the port and of what follows
	port   string // as it is announced
}

// lead begins a line in which an address of n bytes follows after words, and prev is what has gone on before these.
func (s *Session) lead(words []byte, prev byte, n int) slow {
	addr := sixText(s.advertised())
	text, paren := strings.CutSuffix(string(words), "(")
	mark := "("
	if t, equals := strings.CutSuffix(text, "="); equals && !paren {
		text, paren, mark = t, true, "=" // "227 =h1,..." stays together
	}
	p := slow{text: addr, length: n}
	more := n - len(addr) // bytes before the address that it leaves or takes
	if more > 0 && text == "" && !paren && prev != ' ' {
		p.length = len(addr)
		p.widen(more) // blanks after a parenthesis not every client takes
		return p
	}
	lead := string(trimText(cleanText([]byte(text)), max(len(text)+min(more, 0), 0)))
	lead += strings.Repeat(" ", max(len(text)+more-len(lead), 0))
	if paren {
		lead += mark
	}
	p.text = lead + addr
	return p
}

// widen makes up for an address that is longer than it seemed at first: with zeros before numbers of our own that have
// not gone on, of those below 8, which no reader takes for octal.
func (p *slow) widen(more int) {
	for i := len(p.text) - 2; i >= p.gone && more > 0; i-- {
		c := p.text[i]
		if c < '0' || c > '7' || p.text[i+1] != ',' || i > 0 && isDigit(p.text[i-1]) {
			continue
		}
		k := min(more, 2)
		p.text = p.text[:i] + "00"[:k] + p.text[i:]
		p.length += k
		more -= k
	}
}

// likely is the length of the address that digits begin, of those that the backend may name.
func (s *Session) likely(digits []byte) int {
	for _, a := range s.own() {
		if text := sixText(a); strings.HasPrefix(text, string(digits)) {
			return len(text)
		}
	}
	if text := sixText(netip.IPv4Unspecified()); strings.HasPrefix(text, string(digits)) || !s.ends.Backend.Addr().Is4() {
		return len(text)
	}
	return len(sixText(s.ends.Backend.Addr()))
}

// own lists the IPv4 addresses that are the backend's, its own first.
func (s *Session) own() (list []netip.Addr) {
	for _, a := range append([]netip.Addr{s.ends.Backend.Addr(), s.ends.VIP.Addr(), s.advertised()}, s.policy.Aliases...) {
		if a = a.Unmap(); a.Is4() && !a.IsUnspecified() {
			list = append(list, a)
		}
	}
	return list
}

// named takes an address and port apart, as far as they have come: how long the address is, where it is whole, the digits
// of the port, and what follows. It is not ok where the address is not one that the backend may name.
func (s *Session) named(b []byte) (n int, port, after string, ok bool) {
	var nums [4]byte
	i := 0
	for k := range nums {
		v, start := 0, i
		for i < len(b) && isDigit(b[i]) {
			v = min(v*10+int(b[i]-'0'), 256)
			i++
		}
		if i == len(b) {
			return 0, "", "", true
		}
		if i == start || v > 255 || b[i] != ',' {
			return 0, "", "", false
		}
		nums[k] = byte(v)
		i++
	}
	j := i
	for j < len(b) && (isDigit(b[j]) || b[j] == ',') {
		j++
	}
	return i, string(b[i:j]), string(b[j:]), j-i <= len("255,255") && s.checkPassive(227, group{addr: netip.AddrFrom4(nums), port: 1<<16 - 1}) == ReasonNone
}

// finish227 completes a 227 of which a part of our address has gone on.
func (s *Session) finish227(t *stream, n int, d DataConn, named netip.AddrPort) {
	k := t.frozen()
	content := t.orig[t.line : t.line+n]
	if k >= n { // only its end was missing
		k = n
	}
	out, p, ok := s.lay227(t, content, k, true)
	at, _, valid := parsePort([]byte("1,1,1,1," + p.port))
	if !ok || !valid {
		s.noFit(FromServer, d.Command, named, s.advertised())
		s.neutraliseReply(t, n, ReasonNoFit)
		return
	}
	port, why, err := s.open(d, at.Port(), portChoice{only: true})
	if port == 0 {
		s.refuseReply(t, n, d.Command, why, named, err)
		return
	}
	t.edit(t.line+k, out)
	s.event(Event{Kind: EventRewritten, Dir: FromServer, Command: d.Command, Named: named})
}
