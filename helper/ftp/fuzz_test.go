package ftp

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzReply: whatever a server answers to PASV and EPSV, the line keeps its
// length, and every client reads either exactly what was opened or nothing.
func FuzzReply(f *testing.F) {
	for _, line := range []string{
		"227 Entering Passive Mode (10,2,0,11,195,80).", "227 =10,2,0,11,4,51", "227 Entering passive mode. 10,2,0,11,4,51",
		"227 v2 (10, 2, 0, 11, 195, 80) x", "227 \xd0\x9f\xd0\xb0\xd1\x81 (010,002,000,011,195,080).", "227 (1,2,3,4,5,6,7)",
		"229 Entering Extended Passive Mode (|||6446|)", "229 ok (!!!62282!).", "229 (1) (|||1|)", "227 10,2,0,11,4,5", "227", "229 ",
		"227 -10,2,0,11,4,5 (10,2,0,11,195,80)", "227 (192,0,2,10,4,51)", "227(10,2,0,11,195,80)", "227\t10,2,0,11,195,80", "227=10,2,0,11,4,5",
		"228 (4,4,10,2,0,11,2,195,80)", "229 (|1|10.2.0.11|50000|)",
	} {
		f.Add(line, uint32(0xc000020a), uint16(50000))
		f.Add(line, uint32(0x01010101), uint16(1))
	}
	f.Fuzz(func(t *testing.T, line string, vip uint32, busy uint16) {
		if strings.ContainsRune(line, '\n') {
			return
		}
		e := ends4()
		e.VIP = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(vip >> 24), byte(vip >> 16), byte(vip >> 8), byte(vip)}), 21)
		w := greeted(t, e, Policy{})
		w.busy[busy] = true
		w.client("PASV\r\nEPSV\r\n")
		w.toClient()
		w.server(line + "\r\n")
		got := w.toClient()
		sameLen(t, line+"\r\n", got)
		if !strings.HasSuffix(got, "\r\n") {
			t.Fatalf("line end lost: %q", got)
		}
		w.wantNoneHeld()
		if len(line) > maxLine-2 || len(line) > 3 && line[3] == '-' {
			return
		}
		if _, ok := w.last(EventNoFit); ok {
			if !strings.HasPrefix(got, "425 ") && !strings.HasPrefix(got, "425\r") {
				t.Fatalf("%q does not fit and became %q", line, got)
			}
			w.wantOpened(0)
			return
		}
		switch {
		case len(w.opened) > 1:
			t.Fatalf("opened %v", w.opened)
		case strings.HasPrefix(line, "227 "):
			for name, parse := range pasvParsers {
				a, err := parse(got)
				if len(w.opened) == 0 && err == nil {
					t.Fatalf("%s reads %v out of %q, nothing is open", name, a, got)
				}
				if len(w.opened) == 1 && (err != nil || a != w.opened[0].At) {
					t.Fatalf("%s reads %v (%v) out of %q, from %q, want %v", name, a, err, got, line, w.opened[0].At)
				}
			}
		case strings.HasPrefix(line, "229 "):
			for name, parse := range epsvParsers {
				p, err := parse(got)
				if len(w.opened) == 0 && err == nil {
					t.Fatalf("%s reads %d out of %q, nothing is open", name, p, got)
				}
				if len(w.opened) == 1 && (err != nil || p != w.opened[0].Port) {
					t.Fatalf("%s reads %d (%v) out of %q, from %q, want %d", name, p, err, got, line, w.opened[0].Port)
				}
			}
		case strings.HasPrefix(line, "227") && !isLetter((line + " ")[3]) && !isDigit((line + " ")[3]): // some look at the code only
			if a, err := ftplibPASV(got); err == nil && (len(w.opened) == 0 || a != w.opened[0].At) && a.Addr() == e.Backend.Addr() {
				t.Fatalf("ftplib reads %v out of %q, from %q", a, got, line)
			}
		case !strings.HasPrefix(line, "22"):
			eq(t, got, line+"\r\n")
			w.wantOpened(0)
		}
	})
}

// serverReadings is how servers may come to read a line: with Telnet commands
// taken out or not, NUL and blanks skipped, a bare CR as a line end or not.
func serverReadings(line string) []netip.AddrPort {
	line = strings.TrimRight(line, "\r\n")
	forms := []string{line, strings.ReplaceAll(line, "\x00", ""), stripTelnet(line), strings.ReplaceAll(stripTelnet(line), "\x00", "")}
	var read []netip.AddrPort
	for _, form := range forms {
		for _, piece := range append(strings.Split(form, "\r"), form) {
			piece = strings.TrimLeft(piece, " \t")
			if len(piece) < 5 || isLetter(piece[4]) { // a longer verb
				continue
			}
			verb, arg := strings.ToUpper(piece[:4]), strings.TrimLeft(piece[4:], " \t")
			switch {
			case verb == "PORT":
				if a, err := scanSix(arg); err == nil && a.Port() != 0 {
					read = append(read, a)
				}
			case verb == "EPRT" && len(arg) > 5 && arg[0] > ' ' && arg[0] < 0x7f: // else it is no delimiter, and NUL ends a C string
				if a := splitEprt(arg); a.Port() != 0 {
					read = append(read, a)
				}
			}
		}
	}
	return read
}

func stripTelnet(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != iac:
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] >= iacOpt && s[i+1] != iac:
			i += 2
		default:
			i++
		}
	}
	return b.String()
}

// FuzzActive: whatever a client says, the line keeps its length, and a server
// reads no address out of it but the one that was opened.
func FuzzActive(f *testing.F) {
	for _, line := range []string{
		"PORT 203,0,113,9,195,80", "port 203,0,113,9,4,1  ", "EPRT |1|203.0.113.9|50000|", "EPRT !2!2001:db8:1::9!1024!",
		"PORT 10,2,0,99,195,80", "NOOP\rPORT 10,2,0,99,195,80", "\xff\xf4\xff\xf2PORT 203,0,113,9,195,80", "PO\x00RT 1,2,3,4,5,6",
		"LPRT 4,4,203,0,113,9,2,195,80", "LPSV", "EPSV ALL", "EPRT |2|::ffff:203.0.113.9|5000|", "PORT 203,0,113,011,195,080",
	} {
		for mode := range byte(4) {
			f.Add(line, mode)
		}
	}
	f.Fuzz(func(t *testing.T, line string, mode byte) {
		if strings.ContainsRune(line, '\n') {
			return
		}
		e := []Endpoints{ends4(), oneArm4(), ends6(), oneArm6()}[mode&3]
		w := greeted(t, e, Policy{})
		w.client(line + "\r\n")
		got := w.toBackend()
		sameLen(t, line+"\r\n", got)
		if !strings.HasSuffix(got, "\r\n") {
			t.Fatalf("line end lost: %q", got)
		}
		w.wantNoneHeld()
		if len(w.opened) > 1 {
			t.Fatalf("opened %v", w.opened)
		}
		for _, d := range w.opened {
			if d.To.Addr() != e.Client.Addr() || d.To.Port() < 1024 || d.Port < 1024 || d.At.Addr() != e.Seen.Addr() {
				t.Fatalf("opened %+v", d)
			}
		}
		for _, a := range serverReadings(got) {
			if len(w.opened) == 0 || a != w.opened[0].At {
				t.Fatalf("a server reads %v out of %q, from %q; open is %v", a, got, line, w.opened)
			}
		}
	})
}

// FuzzSplit: however the bytes are cut into segments, the same bytes come out.
func FuzzSplit(f *testing.F) {
	talk := "PASV\r\nNOOP\r\nPORT 203,0,113,9,195,80\r\nEPRT |1|203.0.113.9|50000|\r\nPORT 1,2,3,4,5,6\r\nLPSV\r\n\xff\xf4ABOR\r\n"
	f.Add(talk+"A\rPORT 1,2,3,4,5,6\r\n", "", []byte{1, 2, 3}, byte(0))
	replies := "227-x\r\n227 x (10,2,0,11,195,80)\r\n200 x\r\n229 x (|||6446|)\r\n211-x\r\n227 x (10,2,0,11,195,80)\r\n211 x\r\n227 (1,2,3,4,5,6)\r\n"
	f.Add(talk, replies, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, byte(0))
	f.Add(talk, replies, []byte{1}, byte(1))
	f.Add(talk, replies, []byte{40, 1, 1, 1}, byte(0))
	f.Fuzz(func(t *testing.T, talk, replies string, cuts []byte, arm byte) {
		for _, text := range []string{talk, replies} {
			for line := range strings.SplitSeq(text, "\n") {
				if len(line) > 200 {
					return
				}
			}
		}
		if len(cuts) == 0 || strings.Contains(replies, "234") {
			return
		}
		e := ends4()
		if arm&1 == 1 {
			e = oneArm4()
		}
		run := func(cuts []byte) (*wire, [2]string) {
			w := greeted(t, e, Policy{})
			w.toClient()
			w.client("PASV\r\nEPSV\r\nPASV\r\n")
			k := 0
			for dir, rest := range [...]string{talk, replies} {
				for rest != "" {
					n := len(rest)
					if cuts != nil {
						n = min(n, int(cuts[k%len(cuts)])%61+4) // no line in more pieces than are held
						k++
					}
					w.send(Direction(dir), rest[:n])
					rest = rest[n:]
				}
			}
			w.expire(holdTime)
			w.wantNoneHeld()
			return w, [2]string{w.toBackend(), w.toClient()}
		}
		w1, whole := run(nil)
		w2, parts := run(cuts)
		// A line without an end is let go where it is: that may differ.
		for dir, text := range [...]string{talk, replies} {
			n := strings.LastIndexByte(text, '\n') + 1
			if dir == 0 {
				n += len("PASV\r\nEPSV\r\nPASV\r\n")
			}
			sameLen(t, whole[dir], parts[dir])
			if slices.ContainsFunc(w1.events, func(e Event) bool { return e.Kind == EventRefused && e.Dir == Direction(dir) }) {
				continue // spoilt from where it was not gone yet
			}
			eq(t, parts[dir][:n], whole[dir][:n])
			sameLen(t, whole[dir], parts[dir])
		}
		if a, b := len(w1.opened), len(w2.opened); a != b && strings.HasSuffix(talk, "\n") && strings.HasSuffix(replies, "\n") {
			t.Fatalf("opened %d and %d", a, b)
		}
	})
}

// FuzzSession sends two streams with losses, repetitions, reordering, forged
// overlaps and time-outs, and checks what a receiver gets: always the same
// byte at the same place, everything in the end, and nothing changed outside
// of the lines that may be.
func FuzzSession(f *testing.F) {
	talk := "USER a\r\nPASV\r\nTYPE I\r\nEPSV\r\nPORT 203,0,113,9,195,80\r\nEPRT |1|203.0.113.9|50000|\r\nPORT 1,2,3,4,5,6\r\nSTAT\r\nLPSV\r\nAUTH TLS\r\n\x16\x03\x01junk"
	replies := "331 x\r\n227 Entering Passive Mode (10,2,0,11,195,80).\r\n200 x\r\n229 x (|||6446|)\r\n200 x\r\n200 x\r\n500 x\r\n211-x\r\n227 x (10,2,0,11,195,80)\r\n211 x\r\n500 x\r\n234 x\r\n\x16\x03\x01junk"
	f.Add(talk, replies, []byte("0a1b2c3d4e5f6g7h8i9j"), byte(0))
	f.Add(talk, replies, []byte{0, 7, 1, 9, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 0, 30, 1, 30, 4, 1, 5, 1}, byte(1))
	f.Add(talk, replies, []byte{0, 255, 1, 255, 2, 1, 3, 1}, byte(0))
	f.Fuzz(func(t *testing.T, talk, replies string, ops []byte, arm byte) {
		if len(talk) > 4000 || len(replies) > 4000 || len(ops) > 400 {
			return
		}
		e := ends4()
		if arm&1 == 1 {
			e = oneArm4()
		}
		s := newSim(t, e, talk, "220 x\r\n"+replies)
		s.honest(FromServer, 7)
		s.honest(FromClient, 1)
		for ; len(ops) >= 2 && !s.lost; ops = ops[2:] {
			dir := Direction(ops[0] & 1)
			n := int(ops[1])
			switch ops[0] >> 1 % 7 {
			case 0, 1:
				s.honest(dir, n%100+1)
			case 2: // again, from further back
				s.send(dir, max(s.sent[dir]-n, 0), n%37+1, false)
			case 3: // beyond a gap
				s.send(dir, s.sent[dir]+n%16, n%37+1, false)
			case 4: // forged
				s.send(dir, max(s.sent[dir]-n%64, 0), n%37+2, true)
			case 5:
				s.expire(time.Duration(n) * time.Millisecond)
			case 6: // lost on its way here
				s.sent[dir] = min(s.sent[dir]+n%8, len(s.stream[dir]))
			}
		}
		if !s.lost {
			s.drain()
			s.check()
		}
	})
}

// FuzzWild sends anything anywhere: no panic, one verdict for each segment,
// equal lengths, and nothing is opened that policy forbids.
func FuzzWild(f *testing.F) {
	f.Add([]byte("PASV\r\n227 x (10,2,0,11,195,80)\r\nPORT 203,0,113,9,195,80\r\n229 x (|||6446|)\r\n"), []byte("\x00\x00\x06\x01\x00\x1c\x02\x00\x20\x03\x10\x10\x04\x00\x00"))
	f.Add([]byte("220 x\r\nAUTH TLS\r\n234 x\r\n\x16\x03\x01\x00\r\nUSER x\r\n"), []byte("\x01\x00\x07\x00\x00\x0a\x01\x07\x07\x00\x0a\x06\x00\x10\x08"))
	f.Add([]byte("PORT 1,2,3,4,5,6\r\nEPRT |1|203.0.113.9|50000|\r\n"), []byte("\x00\x05\x06\x00\x00\x02\x00\x02\x03\x00\x0b\x20"))
	f.Fuzz(func(t *testing.T, data, ops []byte) {
		if len(data) == 0 || len(ops) > 600 {
			return
		}
		s := newSim(t, oneArm4(), "", "")
		s.lost = true
		for ; len(ops) >= 3; ops = ops[3:] {
			dir, kind := Direction(ops[0]&1), ops[0]>>1%8
			if kind == 7 {
				s.expire(time.Duration(ops[1]) * 4 * time.Millisecond)
				continue
			}
			from := int(ops[1]) % len(data)
			b := bytes.Clone(data[from:min(from+int(ops[2]), len(data))])
			seq := s.base[dir] + uint32(s.sent[dir])
			switch kind {
			case 5:
				seq += uint32(int32(int8(ops[1])))
			case 6:
				seq += uint32(int32(int8(ops[1]))) << 22
			default:
				s.sent[dir] += len(b)
			}
			s.tag++
			s.held[s.tag] = simSeg{dir, 0, bytes.Clone(b), false}
			s.take(s.s.Segment(s.now, dir, Segment{Seq: seq, Ack: uint32(ops[1])<<24 | uint32(ops[2]), Payload: b}, s.tag, nil))
		}
		s.expire(holdTime)
		s.expire(holdTime)
		if len(s.held) > 0 {
			t.Fatalf("%d segments are still held", len(s.held))
		}
	})
}
