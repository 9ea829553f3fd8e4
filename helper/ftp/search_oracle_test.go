package ftp

import (
	"net/netip"
	"strconv"
	"strings"
)

// number10 is what atoi makes of the start of s.
func leadingNumber(s string, octal bool) (v int, rest string, ok bool) {
	k := 0
	for k < len(s) && isDigit(s[k]) {
		k++
	}
	if k == 0 {
		return 0, s, false
	}
	base := 10
	if octal && s[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseInt(s[:k], base, 32)
	if err != nil {
		return 0, s, false
	}
	return int(n), s[k:], true
}

// readNumbers is sscanf with n times %d and commas in between; values are cut to a byte.
func readNumbers(s string, n int, octal bool) (b []byte, rest string, ok bool) {
	for i := range n {
		s = strings.TrimLeft(s, " \t\r\n")
		var v int
		if v, s, ok = leadingNumber(s, octal); !ok {
			return nil, s, false
		}
		b = append(b, byte(v))
		if i < n-1 {
			if !strings.HasPrefix(s, ",") {
				return nil, s, false
			}
			s = s[1:]
		}
	}
	return b, s, true
}

// readActive reads the argument of PORT, EPRT or LPRT as servers do; a lax one takes what it finds at the start.
func readActive(verb, arg string, lax bool) (netip.AddrPort, bool) {
	return readAs(verb, arg, lax, false)
}

func readAs(verb, arg string, lax, octal bool) (netip.AddrPort, bool) {
	none := netip.AddrPort{}
	switch verb {
	case "PORT":
		b, rest, ok := readNumbers(arg, 6, octal)
		if !ok || !lax && strings.TrimRight(rest, " ") != "" {
			return none, false
		}
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(b[4])<<8|uint16(b[5]))
		return a, a.Port() != 0
	case "LPRT":
		b, rest, ok := readNumbers(arg, 2, false)
		if !ok || b[1] != 4 && b[1] != 16 {
			return none, false
		}
		b, _, ok = readNumbers(strings.TrimPrefix(rest, ","), int(b[1])+3, octal)
		if !ok {
			return none, false
		}
		a, _ := netip.AddrFromSlice(b[:len(b)-3])
		return netip.AddrPortFrom(a, uint16(b[len(b)-2])<<8|uint16(b[len(b)-1])), true
	case "EPRT":
		if len(arg) < 2 || arg[0] <= ' ' || arg[0] >= 0x7f {
			return none, false
		}
		f := strings.SplitN(arg, arg[:1], 5)
		if len(f) < 4 || !lax && (len(f) != 5 || strings.TrimRight(f[4], " ") != "") {
			return none, false
		}
		addr, err := netip.ParseAddr(f[2])
		if err != nil {
			b, rest, ok := readNumbers(strings.ReplaceAll(f[2], ".", ","), 4, octal)
			if !ok || rest != "" {
				return none, false
			}
			addr = netip.AddrFrom4([4]byte(b))
		}
		p, rest, ok := leadingNumber(f[3], octal)
		if !ok || p&0xffff == 0 || !lax && rest != "" {
			return none, false
		}
		return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(p)), true
	}
	return none, false
}

// taken is what a server's TCP took, with the place of each byte.
type taken struct {
	b  []byte
	at []int32
}

func (t *taken) add(c byte, at int) { t.b, t.at = append(t.b, c), append(t.at, int32(at)) }

func dropControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f {
			return -1
		}
		return r
	}, s)
}

// readings are the ways to clean a stream before its lines are found.
var readings = [...]func(in, out *taken){
	func(in, out *taken) { out.b, out.at = append(out.b, in.b...), append(out.at, in.at...) },
	func(in, out *taken) { // without NUL
		for i, c := range in.b {
			if c != 0 {
				out.add(c, int(in.at[i]))
			}
		}
	},
	func(in, out *taken) { // only what is graphic
		for i, c := range in.b {
			if c >= ' ' && c < 0x7f || c == '\r' || c == '\n' || c == '\t' {
				out.add(c, int(in.at[i]))
			}
		}
	},
	func(in, out *taken) { // without Telnet commands
		for i := 0; i < len(in.b); i++ {
			switch c := in.b[i]; {
			case c != iac:
				out.add(c, int(in.at[i]))
			case i+1 < len(in.b) && in.b[i+1] >= iacOpt && in.b[i+1] != iac:
				i += 2
			default:
				i++
			}
		}
	},
}

// spells is a quick look: do the letters spell an active verb?
func spells(b []byte) bool {
	var last uint32
	for _, c := range b {
		if !isLetter(c) {
			continue
		}
		last = last<<8 | uint32(c&^0x20)
		switch last {
		case 'P'<<24 | 'O'<<16 | 'R'<<8 | 'T', 'E'<<24 | 'P'<<16 | 'R'<<8 | 'T', 'L'<<24 | 'P'<<16 | 'R'<<8 | 'T':
			return true
		}
	}
	return false
}

// judgeServer looks for addresses that no server may read: with every reading, out of what its TCP took.
func (w *world) judgeServer() {
	got := w.ends[FromServer].got
	var in taken
	tls, k := false, 0
	for i, c := range got {
		for k < len(w.server.tlsAt) && w.server.tlsAt[k] <= i {
			if tls = !tls; tls {
				in.add('\n', i)
			}
			k++
		}
		if !tls {
			in.add(c, i)
		}
	}
	if !spells(in.b) {
		// With Telnet commands taken out, other letters may be left.
		var out taken
		if readings[3](&in, &out); !spells(out.b) {
			return
		}
	}
	for _, clean := range readings {
		var out taken
		clean(&in, &out)
		w.judgeLines(&out, false)
		w.judgeLines(&out, true)
	}
}

// judgeLines looks at each line; a bare CR ends one, too, where cr is set.
func (w *world) judgeLines(t *taken, cr bool) {
	from := 0
	for i, c := range t.b {
		if c != '\n' && (c != '\r' || !cr) {
			continue
		}
		w.judgeLine(t, from, i, "bounce")
		for _, size := range [...]int{512, 1024} { // what is beyond its buffer is the next line for some (CVE-2008-4247)
			for k := from + size - 1; k < i; k += size - 1 {
				w.judgeLine(t, k, min(i, k+size-1), "bounce beyond a buffer")
			}
		}
		from = i + 1
	}
}

func (w *world) judgeLine(t *taken, from, to int, kind string) {
	line := strings.TrimLeft(string(t.b[from:to]), " \t\r")
	if len(line) < 6 || isLetter(line[4]) {
		return
	}
	verb := strings.ToUpper(line[:4])
	if verb != "PORT" && verb != "EPRT" && verb != "LPRT" {
		return
	}
	arg := strings.TrimLeft(line[4:], " \t\r")
	for _, octal := range [...]bool{false, true} {
		a, ok := readAs(verb, arg, true, octal)
		if ok && (a.Addr() == w.addrs.Client.Addr() || a.Addr() == w.addrs.Seen.Addr()) { // perhaps the start of a line that was spoilt
			a, ok = readAs(verb, arg, false, octal)
		}
		if !ok || w.allowed(a) || octal && w.addrs.OneArm() {
			continue // in one-arm mode numbers are padded with zeros
		}
		way := wayOf(w.ends[FromServer].gens[t.at[from] : t.at[to]+1])
		if way.unread || way.opaque && w.server.spoke && int(t.at[from]) >= w.server.spokeAt {
			continue // no helper ran when a part of it passed; or it could as well have been said in TLS
		}
		if a.Addr() == w.addrs.Seen.Addr() {
			kind = "own address" // a port of the balancer's, made of pieces that passed at different times
		}
		kind += way.String()
		w.fault(kind, "a server reads %s %v out of %q", verb, a, line)
		return
	}
}

func (v way) String() string {
	switch {
	case v.straddles:
		return " over a restart"
	case v.opaque:
		return " as TLS"
	}
	return ""
}

// allowed reports whether a server may read an address: the client's own, in one-arm mode one that was opened.
func (w *world) allowed(a netip.AddrPort) bool {
	if w.own(a) {
		return true // in one-arm mode, too: nothing of a fitting length can be had for every line
	}
	for _, o := range w.opens {
		if !o.Passive && o.At == a {
			return true
		}
	}
	return false
}

// judgeClient looks for the server's own address in what a client may take for a 227.
func (w *world) judgeClient() {
	t := &w.ends[FromClient]
	multi := ""
	from, tls, k := 0, false, 0
	for i, c := range t.got {
		for k < len(w.server.tlsOut) && w.server.tlsOut[k] <= i {
			tls = !tls
			from = i
			k++
		}
		if c != '\n' || tls {
			continue
		}
		line, at := string(t.got[from:i]), from
		from = i + 1
		if len(line) < 4 {
			continue
		}
		code := line[:3]
		if multi != "" && code != multi {
			continue
		}
		switch line[3] {
		case '-':
			multi = code
		case ' ':
			multi = ""
		}
		if code != "227" {
			continue
		}
		for _, parse := range [...]func(string) (netip.AddrPort, error){curlPASV, digitPASV, parenPASV} {
			a, err := parse(line)
			if err != nil || a.Addr() != w.addrs.Backend.Addr() {
				continue
			}
			way := wayOf(t.gens[at : i+1])
			if way.unread || way.opaque && w.server.spoke && at >= w.server.spokeOut {
				continue
			}
			w.fault("private address"+way.String(), "a client reads %v out of %q", a, line)
		}
	}
}
