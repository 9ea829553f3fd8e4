package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// dialogue is the program at the client's end.
type dialogue interface {
	read()                        // there are new bytes
	next()                        // the time it asked for has come
	think()                       // it may say the next command
	done() bool                   // it has nothing more to say
	wanted(a netip.AddrPort) bool // the server read this address in an active command
}

// piece is a part of what somebody says.
type piece struct {
	after time.Duration
	text  string
}

// server is an FTP server with habits.
type server struct {
	w        *world
	t        *tcp
	at       int  // so much was read
	endsAtCR bool // a bare CR ends a line
	telnet   bool // Telnet commands are taken out
	cleans   bool // bytes that are not graphic are taken out
	lax      bool // reads the start of an argument
	empty    bool // answers empty lines
	tlsOK    bool
	falls    bool // goes on in the clear after a handshake that failed
	one      bool // needs no password
	names    int  // in a 227: 0 its own address, 1 the VIP's, 2 an alias
	text     int  // which words
	pace     int

	queue             []piece // what is to be said
	said              int     // bytes handed to TCP
	busy              bool
	tls               bool
	tlsAt             []int // where in the client's stream TLS starts and ends, in turns
	tlsOut            []int // the same in the server's stream
	spoke             bool  // TLS: then what is said in it, or after it, is its own decision
	dead              bool  // the handshake failed
	spokeAt, spokeOut int   // from here on
	port              uint16
	active            bool // the transfer that is set up is an active one
	works             bool // it will come
	line              []byte
}

func (s *server) roll(w *world) {
	d := w.dice
	*s = server{
		w: w, t: &w.ends[FromServer], queue: s.queue[:0], line: s.line[:0], tlsAt: s.tlsAt[:0], tlsOut: s.tlsOut[:0],
		endsAtCR: d.chance(25), telnet: d.chance(50), cleans: d.chance(25), lax: d.chance(50), empty: d.chance(30),
		tlsOK: d.chance(60), falls: d.chance(20), one: d.chance(10), names: d.n(3), text: d.n(10), pace: d.n(8),
	}
}

// greet says what servers say first.
func (s *server) greet() {
	d := s.w.dice
	switch d.n(8) {
	case 0:
		s.sayIn(2, "220 ready\r\n")
	case 1:
		s.say("120 wait\r\n")
		s.queue = append(s.queue, piece{d.ms(10, 3000), "220 ready\r\n"})
	case 2:
		s.say("230 welcome\r\n")
	case 3:
		s.say("220-Hello\r\n PORT 1,2,3,4,5,6\r\n220 ready\r\n")
	case 4:
		s.say("220-Hello\r\n220-227 x (1,2,3,4,5,6)\r\n")
		s.say("220 ready\r\n")
	case 5:
		s.queue = append(s.queue, piece{d.ms(100, 3000), "220 late\r\n"})
	default:
		s.say("220 ready\r\n")
	}
	s.go1()
}

// say queues a reply at the server's pace.
func (s *server) say(text string) {
	style := 0
	if s.pace < 3 && s.w.dice.chance(40) {
		style = s.pace + 1
	}
	s.sayIn(style, text)
}

// sayIn queues a reply in pieces.
func (s *server) sayIn(style int, text string) {
	s.queue = append(s.queue, pieces(s.w.dice, style, text)...)
}

// pieces cuts a line: 0 not at all, 1 in two, 2 into bytes, 3 anywhere. The pauses in a line take five seconds at most.
func pieces(d *dice, style int, text string) []piece {
	think := d.ms(0, 3)
	switch style {
	case 1:
		k := d.within(1, len(text)-1)
		return []piece{{think, text[:k]}, {pause(d), text[k:]}}
	case 2:
		p := make([]piece, 0, len(text))
		gap := time.Duration(d.within(0, 5000/len(text))) * time.Millisecond
		if d.chance(50) {
			gap = min(gap, 2*time.Millisecond)
		}
		for i := range len(text) {
			p = append(p, piece{gap, text[i : i+1]})
		}
		return p
	case 3:
		var p []piece
		left := 5 * time.Second
		for text != "" {
			k := min(d.within(1, 12), len(text))
			gap := min(pause(d), left)
			left -= gap
			p = append(p, piece{gap, text[:k]})
			text = text[k:]
		}
		return p
	}
	return []piece{{think, text}}
}

// pause is one between two pieces.
func pause(d *dice) time.Duration {
	return pick(d, 0, d.ms(1, 20), d.ms(20, 260), d.ms(190, 210), d.ms(200, 1200), d.ms(1000, 5000))
}

// go1 asks for the time of the next piece.
func (s *server) go1() {
	if !s.busy && len(s.queue) > 0 {
		s.busy = true
		s.w.push(event{at: s.w.now + s.queue[0].after, kind: evServer})
	}
}

func (s *server) next() {
	s.busy = false
	if len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		s.said += len(p.text)
		s.t.write(p.text)
	}
	s.go1()
	if len(s.queue) == 0 {
		s.read()
	}
}

// read takes lines, one after the other: the next when the last is answered.
func (s *server) read() {
	for len(s.queue) == 0 && s.at < len(s.t.got) {
		if s.tls {
			if !s.readTLS() {
				return
			}
			continue
		}
		c := s.t.got[s.at]
		s.at++
		switch {
		case c == '\n', c == '\r' && s.endsAtCR && s.at < len(s.t.got) && s.t.got[s.at] != '\n':
			line := string(s.line)
			s.line = s.line[:0]
			s.w.trace("server reads %q", line)
			s.command(line)
			s.go1()
		case c == '\r' && s.endsAtCR && s.at == len(s.t.got):
			s.at-- // what follows?
			return
		default:
			s.line = append(s.line, c)
		}
	}
}

// readTLS takes a TLS record, whose inside is not modelled. It is false if more has to come.
func (s *server) readTLS() bool {
	rest := s.t.got[s.at:]
	if s.dead {
		s.at = len(s.t.got)
		return true
	}
	if rest[0] < 20 || rest[0] > 23 { // not TLS: the handshake fails
		if !s.falls || s.spoke {
			s.at = len(s.t.got)
			return true
		}
		s.leaveTLS()
		s.say("431 not TLS\r\n")
		s.go1()
		return true
	}
	if len(rest) < 6 {
		return false
	}
	n := 5 + int(rest[3])<<8 + int(rest[4])
	if len(rest) < n {
		return false
	}
	last := rest[5] == 'C' && s.spoke // CCC
	if !s.spoke {
		s.dead = len(rest) > n // nobody goes on before the other's handshake
		s.spoke, s.spokeAt, s.spokeOut = true, s.at, s.said
	}
	s.at += n
	s.sayIn(0, record(s.w.dice, "S"))
	if last {
		s.leaveTLS()
	}
	s.go1()
	return true
}

// enterTLS and leaveTLS note where in both streams TLS starts and ends. All that was said before is queued by then.
func (s *server) enterTLS() {
	s.tls = true
	s.mark()
}

func (s *server) leaveTLS() {
	s.tls = false
	s.mark()
}

func (s *server) mark() {
	n := s.said
	for _, p := range s.queue {
		n += len(p.text)
	}
	s.tlsAt, s.tlsOut = append(s.tlsAt, s.at), append(s.tlsOut, n)
}

// record is a TLS record whose content starts with what.
func record(d *dice, what string) string {
	n := d.within(20, 60)
	b := make([]byte, 5+n)
	copy(b, []byte{byte(20 + d.n(4)), 3, 3, 0, byte(n)})
	copy(b[5:], what)
	for i := 5 + len(what); i < len(b); i++ {
		b[i] = byte(d.next())
	}
	b[len(b)-1] = 1 // no text
	return string(b)
}

// verbAndArg is how the server reads a command line.
func (s *server) verbAndArg(line string) (verb, arg string) {
	line = strings.TrimRight(line, "\r")
	if s.telnet {
		line = stripTelnet(line)
	}
	if s.cleans {
		line = dropControls(line)
	}
	if s.lax {
		line = strings.TrimLeft(line, " \t")
	}
	verb, arg, _ = strings.Cut(line, " ")
	if s.lax {
		arg = strings.TrimLeft(arg, " ")
	}
	return strings.ToUpper(verb), arg
}

// command answers a line.
func (s *server) command(line string) {
	verb, arg := s.verbAndArg(line)
	if s.w.dice.chance(5) {
		s.t.keepalive()
	}
	switch verb {
	case "":
		if s.empty {
			s.say("500 empty\r\n")
		}
	case "USER":
		if s.one {
			s.say("230 in\r\n")
			return
		}
		s.say(pick(s.w.dice, "331 password\r\n", "331-Terms\r\n227 none\r\n331 password\r\n"))
	case "PASS":
		s.say("230 in\r\n")
	case "PASV":
		s.passive(false)
	case "EPSV":
		if strings.EqualFold(arg, "ALL") {
			s.say("200 all\r\n")
			return
		}
		s.passive(true)
	case "PORT", "EPRT", "LPRT":
		s.activeLine(verb, arg)
	case "AUTH":
		if !s.tlsOK {
			s.say(pick(s.w.dice, "502 no\r\n", "534 no TLS\r\n"))
			return
		}
		s.sayIn(0, "234 go on\r\n")
		s.enterTLS()
	case "RETR", "LIST":
		switch {
		case s.active && !s.works:
			s.say("425 cannot connect\r\n")
		case s.w.dice.chance(50):
			s.say("150 here it comes\r\n226 done\r\n")
		default:
			s.say("150 here it comes\r\n")
			s.say("226 done\r\n")
		}
	case "STAT":
		s.say("211-Status\r\n227 (1,2,3,4,5,6)\r\n 211 x\r\n211 End\r\n")
	case "ABOR":
		s.say("226 nothing to abort\r\n")
	case "QUIT":
		s.say("221 bye\r\n")
	case "NOOP", "TYPE", "CWD", "PWD":
		s.say("200 ok\r\n")
	default:
		s.say("500 what?\r\n")
	}
}

// passive answers PASV or EPSV.
func (s *server) passive(extended bool) {
	d := s.w.dice
	s.port, s.active, s.works = uint16(d.within(1024, 65535)), false, false
	six := "0,0,0,0" + fmt.Sprintf(",%d,%d", s.port>>8, s.port&255)
	switch s.text {
	case textItself: // as vsftpd does
		if s.w.addrs.Backend.Addr().Is4() && !extended {
			s.say("227 Entering Passive Mode (" + six + ").\r\n")
			return
		}
	case textOther: // as if the other command had been said
		switch {
		case !extended:
			s.say(fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)\r\n", s.port))
			return
		case s.w.addrs.Backend.Addr().Is6():
			s.say("227 Entering Passive Mode (" + six + ").\r\n")
			return
		}
		extended = false
	}
	if extended {
		s.say(fmt.Sprintf(pick(d, "229 Entering Extended Passive Mode (|||%d|)\r\n", "229 ok (!!!%d!)\r\n"), s.port))
		return
	}
	if !s.w.addrs.Backend.Addr().Is4() {
		s.say("522 no\r\n")
		return
	}
	a := [...]netip.Addr{s.w.addrs.Backend.Addr(), s.w.addrs.VIP.Addr(), searchAlias}[s.names]
	six = strings.ReplaceAll(a.String(), ".", ",") + fmt.Sprintf(",%d,%d", s.port>>8, s.port&255)
	switch s.text {
	case 0:
		s.say("227 Entering passive mode. " + six + "\r\n")
	case 1:
		s.say("227-Listening\r\n227 Entering Passive Mode (" + six + ")\r\n")
	case 2:
		s.say("227 Passive mode ok =" + six + "\r\n")
	default:
		s.say("227 Entering Passive Mode (" + six + ").\r\n")
	}
}

// Values of server.text.
const (
	textItself = 8 // 0,0,0,0 for its own address
	textOther  = 9 // 229 to PASV and 227 to EPSV
)

// activeLine answers PORT or EPRT.
func (s *server) activeLine(verb, arg string) {
	a, ok := readActive(verb, arg, s.lax)
	s.active = true
	s.works = ok && s.w.client.wanted(a)
	if ok {
		s.say("200 ok\r\n")
	} else {
		s.say("501 what address?\r\n")
	}
}

// searchAlias is another address that a server may name.
var searchAlias = netip.MustParseAddr("198.51.100.77")
