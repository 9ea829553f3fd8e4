package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// The two users. They differ in the data ports that their PASVs get.
const (
	// userNumbers gets any of 40,000 ports, of which nobody listens at any: for PASVs that nobody means.
	userNumbers = "numbers"
	// userFiles gets one of the doors, and may RETR.
	userFiles = "files"
)

const (
	ftpPort = 21

	firstNumber, numbers = 20000, 30000
	firstDoor, doors     = 50000, 512 // at most doors sessions have a data connection at the same time

	fileSize = 1024
)

// responder is the least FTP server (RFC 959) that serves a bench: USER, PASS, PASV, RETR, QUIT, and an answer to
// what else a client may say. Its 227 replies name
// its own address, as a server's do that knows nothing of a VIP.
type responder struct {
	addr     netip.Addr
	loop     *loop
	control  int
	doors    []door
	nextDoor int
	number   uint16
	out      []byte // the reply in the making
}

// door is a port that data connections come to.
type door struct {
	r       *responder
	fd      int
	at      netip.AddrPort
	arrived int      // a data connection that nobody has asked to use yet, or -1
	owner   *session // waits for a data connection
}

// session is a control connection.
type session struct {
	r     *responder
	fd    int
	in    lines
	files bool
	door  *door
}

// file is what RETR sends.
var file = bytes.Repeat([]byte("0123456789abcde\n"), fileSize/16)

// startResponder starts a responder in the backend's namespace; the end of the lab ends it. It is a process of its own
// because only the kernel's administrator may raise the limit of open files, and one process is not always allowed
// enough of them for both ends of all connections.
func startResponder(l *lab.Lab) error {
	b := l.Backends[0]
	return startChild(l.Context(), b.Namespace, childRespond, b.Addrs.V4.String())
}

// respond is a responder's process.
func respond(addr string, up func()) error {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return err
	}
	r, err := newResponder(a)
	if err != nil {
		return err
	}
	defer pin(backendEnd)()
	for up(); err == nil; {
		err = r.loop.turn(time.Second)
	}
	return err
}

func newResponder(addr netip.Addr) (*responder, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	r := &responder{addr: addr, loop: l, doors: make([]door, doors)}
	if r.control, err = listen(netip.AddrPortFrom(addr, ftpPort)); err != nil {
		return nil, err
	}
	errs := []error{l.add(r.control, unix.EPOLLIN, r)}
	for i := range r.doors {
		d := &r.doors[i]
		d.r, d.at, d.arrived = r, netip.AddrPortFrom(addr, uint16(firstDoor+i)), -1
		if d.fd, err = listen(d.at); err != nil {
			return nil, err
		}
		errs = append(errs, l.add(d.fd, unix.EPOLLIN, d))
	}
	return r, errors.Join(errs...)
}

// ready accepts a control connection.
func (r *responder) ready() {
	fd, _, err := unix.Accept4(r.control, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return
	}
	s := &session{r: r, fd: fd}
	if r.loop.add(fd, unix.EPOLLIN, s) != nil {
		_ = unix.Close(fd)
		return
	}
	s.say("220 ready\r\n")
}

// ready reads commands.
func (s *session) ready() {
	if s.in.fill(s.fd) != nil {
		s.end()
		return
	}
	for line := s.in.next(); line != nil; line = s.in.next() {
		verb, argument, _ := bytes.Cut(line, []byte(" "))
		switch string(verb) {
		case "PASV":
			s.passive()
		case "USER":
			s.files = string(argument) == userFiles
			s.say("331 password\r\n")
		case "PASS":
			s.say("230 logged in\r\n")
		case "NOOP", "PORT", "EPRT":
			s.say("200 fine\r\n")
		case "EPSV":
			s.extended()
		case "RETR":
			s.retrieve()
		case "QUIT":
			s.say("221 bye\r\n")
			s.end()
			return
		default:
			s.say("502 not here\r\n")
		}
	}
}

func (s *session) say(line string) {
	s.r.out = append(s.r.out[:0], line...)
	s.write(s.fd, s.r.out)
}

// write sends a few bytes; they always fit, unless the connection is dead, and then the next read says so.
func (s *session) write(fd int, b []byte) { _, _ = unix.Write(fd, b) }

func (s *session) end() {
	if s.door != nil && s.door.owner == s {
		s.door.owner = nil
	}
	s.r.loop.drop(s.fd)
}

func (s *session) passive() {
	r := s.r
	at := netip.AddrPortFrom(r.addr, firstNumber+r.number)
	if s.files {
		s.door = &r.doors[r.nextDoor]
		r.nextDoor = (r.nextDoor + 1) % len(r.doors)
		s.door.clear()
		at = s.door.at
	} else {
		r.number = (r.number + 1) % numbers
	}
	r.out = appendPassive(r.out[:0], at)
	s.write(s.fd, r.out)
}

// extended answers EPSV, with a number.
func (s *session) extended() {
	s.r.number = (s.r.number + 1) % numbers
	s.say(fmt.Sprintf("229 Extended Passive Mode (|||%d|)\r\n", firstNumber+s.r.number))
}

func (s *session) retrieve() {
	if s.door == nil {
		s.say("425 PASV first\r\n")
		return
	}
	s.say("150 here it comes\r\n")
	s.door.owner = s
	s.door.send()
}

// ready accepts a data connection.
func (d *door) ready() {
	fd, _, err := unix.Accept4(d.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return
	}
	d.clear()
	d.arrived = fd
	d.send()
}

// clear forgets a data connection that nobody used.
func (d *door) clear() {
	if d.arrived >= 0 {
		_ = unix.Close(d.arrived)
		d.arrived = -1
	}
}

// send sends the file once both the data connection and the RETR are there.
func (d *door) send() {
	s := d.owner
	if s == nil || d.arrived < 0 {
		return
	}
	s.write(d.arrived, file)
	d.clear()
	d.owner, s.door = nil, nil
	s.say("226 done\r\n")
}
