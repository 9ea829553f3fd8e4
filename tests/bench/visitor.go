package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
)

// crowd is what the visitors of one measurement have in common. All of them live on one loop.
type crowd struct {
	loop *loop
	vip  netip.AddrPort
	from []netip.Addr // their addresses, in turn
	user string
	want netip.Addr // what 227 replies have to name

	entered func() bool    // a visitor has logged in; true: it is to say nothing more. May be nil
	named   func(*visitor) // a 227 came
	loaded  func(*visitor) // a file came, and its 226
	ended   func(*visitor) // QUIT was answered and the connection is closed

	visitors int
	replies  int   // 227 replies
	wrong    int   // those that name another address
	err      error // the first trouble of any visitor
}

// visitor is one control connection, and its data connection.
type visitor struct {
	c     *crowd
	from  netip.Addr
	fd    int
	in    lines
	state state
	at    netip.AddrPort // what the last 227 named
	sent  time.Time      // when the last PASV was sent
	data  download
	done  bool // 226 came
}

// state is what a visitor waits for.
type state uint8

const (
	connecting state = iota
	greeting
	user
	password
	passive
	idle
	opening // the data connection
	transfer
	leaving
	gone
)

// visit begins one: connect, log in, PASV.
func (c *crowd) visit() *visitor {
	v := &visitor{c: c, from: c.from[c.visitors%len(c.from)], fd: -1}
	v.data = download{v: v, fd: -1}
	c.visitors++
	var err error
	if v.fd, err = connect(v.from, c.vip); err != nil {
		v.fail(err)
		return v
	}
	if err := c.loop.add(v.fd, unix.EPOLLOUT, v); err != nil {
		v.fail(err)
	}
	return v
}

// fail ends a visitor, and with it the measurement.
func (v *visitor) fail(err error) {
	if v.c.err == nil {
		v.c.err = fmt.Errorf("client %s: %w", v.from, err)
	}
	v.drop()
}

// drop ends a visitor at once.
func (v *visitor) drop() {
	for _, fd := range []*int{&v.fd, &v.data.fd} {
		if *fd >= 0 {
			abort(*fd)
			v.c.loop.drop(*fd)
			*fd = -1
		}
	}
	v.state = gone
}

func (v *visitor) say(line string) {
	if _, err := unix.Write(v.fd, []byte(line)); err != nil {
		v.fail(fmt.Errorf("sending %q: %w", line, err))
	}
}

// ready implements handler for the control connection.
func (v *visitor) ready() {
	if v.state == connecting {
		err := connected(v.fd)
		if err == nil {
			err = v.c.loop.change(v.fd, unix.EPOLLIN)
		}
		if err != nil {
			v.fail(fmt.Errorf("connecting to %s: %w", v.c.vip, err))
			return
		}
		v.state = greeting
		return
	}
	if err := v.in.fill(v.fd); err != nil {
		if v.state == leaving && errors.Is(err, errClosed) {
			v.c.loop.drop(v.fd)
			v.fd, v.state = -1, gone
			v.c.ended(v)
			return
		}
		v.fail(err)
		return
	}
	for line := v.in.next(); line != nil; line = v.in.next() {
		if v.reply(line); v.state == gone {
			return
		}
	}
}

// reply acts on one line.
func (v *visitor) reply(line []byte) {
	code := replyCode(line)
	switch {
	case v.state == passive && code == 227:
		v.named(line)
	case v.state == greeting && code == 220:
		v.state = user
		v.say("USER " + v.c.user + "\r\n")
	case v.state == user && code == 331:
		v.state = password
		v.say("PASS x\r\n")
	case v.state == password && code == 230:
		if v.c.entered != nil && v.c.entered() {
			v.state = idle
			return
		}
		v.pasv()
	case v.state == transfer && code == 150, v.state == leaving && code == 221:
	case v.state == transfer && code == 226:
		v.done = true
		v.maybeLoaded()
	default:
		v.fail(fmt.Errorf("unexpected reply %q in state %d", line, v.state))
	}
}

var pasvCommand = []byte("PASV\r\n")

func (v *visitor) pasv() {
	v.state = passive
	v.sent = time.Now()
	if _, err := unix.Write(v.fd, pasvCommand); err != nil {
		v.fail(fmt.Errorf("sending PASV: %w", err))
	}
}

// named takes a 227.
func (v *visitor) named(line []byte) {
	at, ok := ftp.ParsePASV(string(line[4:]))
	if !ok {
		v.fail(fmt.Errorf("unreadable reply %q", line))
		return
	}
	v.c.replies++
	if at.Addr() != v.c.want {
		v.c.wrong++
	}
	v.at, v.state = at, idle
	v.c.named(v)
}

// retrieve opens the data connection to where the 227 said, and then asks for the file.
func (v *visitor) retrieve() {
	v.state, v.done = opening, false
	v.data.got = 0
	var err error
	if v.data.fd, err = connect(v.from, v.at); err == nil {
		err = v.c.loop.add(v.data.fd, unix.EPOLLOUT, &v.data)
	}
	if err != nil {
		v.fail(err)
	}
}

func (v *visitor) quit() {
	v.state = leaving
	v.say("QUIT\r\n")
}

// maybeLoaded ends a transfer of which both the 226 and the end of the data have come.
func (v *visitor) maybeLoaded() {
	if !v.done || v.data.fd >= 0 {
		return
	}
	if v.data.got != fileSize {
		v.fail(fmt.Errorf("got %d bytes of %d", v.data.got, fileSize))
		return
	}
	v.state = idle
	v.c.loaded(v)
}

// download is a visitor's data connection.
type download struct {
	v   *visitor
	fd  int
	got int
}

// ready implements handler.
func (d *download) ready() {
	v := d.v
	if v.state == opening {
		err := connected(d.fd)
		if err == nil {
			err = v.c.loop.change(d.fd, unix.EPOLLIN)
		}
		if err != nil {
			v.fail(fmt.Errorf("connecting to %s for data: %w", v.at, err))
			return
		}
		v.state = transfer
		v.say("RETR file\r\n")
		return
	}
	var b [2 * fileSize]byte
	n, err := unix.Read(d.fd, b[:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil:
		v.fail(fmt.Errorf("reading the file: %w", err))
	case n > 0:
		d.got += n
	default:
		v.c.loop.drop(d.fd)
		d.fd = -1
		v.maybeLoaded()
	}
}
