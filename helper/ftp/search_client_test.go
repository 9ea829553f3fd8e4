package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// patience is how long a client waits for a reply.
const patience = 170 * time.Second

// transfer is a data connection that a legitimate client sets up.
type transfer struct {
	verb     string
	port     uint16 // of the client's, active mode
	from, to int    // its command in the client's stream
	asked    time.Duration
	refusals int  // of the world, before
	pads     bool // PORT: its numbers have three digits
	read     bool // the server read its address
	works    bool
}

// honest is a client that says what it means, in whatever pieces, and waits for the answers.
type honest struct {
	w       *world
	t       *tcp
	script  []string
	step    int
	pace    int
	queue   []piece
	busy    bool
	written int
	at      int // so much was read
	line    int // where the current line starts
	multi   string
	skip    int // replies to what was said before the command
	inTLS   int // records still to come
	ccc     bool
	waits   bool
	since   time.Duration
	x       transfer
	over    bool
	all     bool // EPSV ALL was said
}

func (h *honest) roll(w *world) {
	d := w.dice
	*h = honest{w: w, t: &w.ends[FromClient], queue: h.queue[:0], script: h.script[:0], pace: d.n(8), waits: true}
	v6 := w.addrs.Client.Addr().Is6()
	h.script = append(h.script, "USER anna")
	if !w.server.one {
		h.script = append(h.script, "PASS x")
	}
	for range d.within(1, 6) {
		switch k := d.n(14); {
		case k < 3 && !v6 && !h.all:
			h.script = append(h.script, "PASV", "RETR file")
		case k < 6:
			h.script = append(h.script, pick(d, "EPSV", "EPSV 1", "EPSV"), "LIST")
		case k < 8 && !v6 && !h.all:
			h.script = append(h.script, "PORT", "RETR file")
		case k < 10 && !h.all:
			h.script = append(h.script, "EPRT", "LIST")
		case k == 10:
			h.script = append(h.script, "STAT")
		case k == 11 && d.chance(30):
			h.script = append(h.script, "EPSV ALL")
			h.all = true
		case k == 12 && w.server.telnet:
			h.script = append(h.script, pick(d, "ABOR", "\xff\xf4\xff\xf2ABOR", "\xff\xf4\xff\xf2ABOR"))
		case k == 13 && d.chance(30):
			h.script = append(h.script, "AUTH TLS")
		default:
			h.script = append(h.script, pick(d, "NOOP", "TYPE I", "CWD /a/long/way/to/the/port 1,2,3,4,5,6", "PWD", "CWD "+longName(d)))
		}
	}
	h.script = append(h.script, "QUIT")
}

// longName is a path that may be longer than any line that is held.
func longName(d *dice) string { return strings.Repeat("/export port", d.within(1, 60)) }

func (h *honest) done() bool { return h.over }

// next says the next piece.
func (h *honest) next() {
	h.busy = false
	if len(h.queue) > 0 {
		p := h.queue[0]
		h.queue = h.queue[1:]
		h.t.write(p.text)
	} else if h.waits && h.w.now-h.since > patience && !h.over {
		h.w.fault("stall", "no answer to %q for %v", h.script[max(h.step-1, 0)], patience)
	}
	h.go1()
}

func (h *honest) go1() {
	switch {
	case h.busy:
	case len(h.queue) > 0:
		h.busy = true
		h.w.push(event{at: h.w.now + h.queue[0].after, kind: evClient})
	case h.waits && !h.over:
		h.busy = true
		h.w.push(event{at: h.since + patience + time.Second, kind: evClient})
	}
}

// say queues what the client says.
func (h *honest) say(text string) {
	h.since, h.waits = h.w.now, true
	style := 0
	if h.pace < 3 && h.w.dice.chance(50) {
		style = h.pace + 1
	}
	h.queue = append(h.queue, pieces(h.w.dice, style, text)...)
	h.written += len(text)
	h.w.push(event{at: h.w.now + h.queue[0].after, kind: evClient})
	h.busy = true
}

// command says the next one of the script.
func (h *honest) command() {
	if h.step >= len(h.script) {
		h.over, h.waits = true, false
		return
	}
	d := h.w.dice
	c := h.script[h.step]
	h.step++
	own := h.w.addrs.Client.Addr()
	port := uint16(d.within(1024, 65535))
	line, pads := c, false
	switch c {
	case "PORT":
		line = fmt.Sprintf("PORT %s,%d,%d", strings.ReplaceAll(own.String(), ".", ","), port>>8, port&255)
		if pads = d.chance(10); pads {
			a := own.As4()
			line = fmt.Sprintf("PORT %03d,%03d,%03d,%03d,%03d,%03d", a[0], a[1], a[2], a[3], port>>8, port&255)
		}
	case "EPRT":
		line = fmt.Sprintf("EPRT |%d|%s|%d|", 1+bit(own.Is6()), own, port)
	}
	verb, rest, _ := strings.Cut(line, " ")
	if rest != "" {
		rest = " " + rest
	}
	first := ""
	if d.chance(8) {
		first, h.skip = "NOOP\r\n", 1 // without waiting for its answer
	}
	from := h.written + len(first)
	h.w.trace("client says %q", first+line)
	h.say(first + d.randomCase(verb) + rest + "\r\n")
	h.x = transfer{verb: verb, port: port, from: from, to: h.written, asked: h.w.now, refusals: h.w.refusals, pads: pads}
	if d.chance(10) {
		h.t.keepalive()
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// read takes replies.
func (h *honest) read() {
	for h.at < len(h.t.got) {
		if h.inTLS > 0 {
			if !h.readTLS() {
				return
			}
			continue
		}
		c := h.t.got[h.at]
		h.at++
		if c != '\n' {
			continue
		}
		from := h.line
		line := strings.TrimRight(string(h.t.got[from:h.at]), "\r\n")
		h.line = h.at
		h.w.trace("client reads %q", line)
		h.reply(line, from, h.at)
	}
}

// reply takes a line.
func (h *honest) reply(line string, from, to int) {
	if len(line) < 4 {
		return
	}
	code := line[:3]
	switch {
	case h.multi != "":
		if code == h.multi && line[3] == ' ' {
			h.multi = ""
		} else {
			return
		}
	case line[3] == '-':
		h.multi = code
		return
	}
	if code < "200" || h.over {
		return
	}
	if h.skip > 0 {
		h.skip--
		return
	}
	if len(h.queue) > 0 {
		return // the greeting of a server that sends two
	}
	h.waits = false
	switch h.x.verb {
	case "PASV", "EPSV":
		if h.step > 0 && h.script[h.step-1] != "EPSV ALL" {
			h.passive(line, from, to)
		}
	case "PORT", "EPRT":
		h.active(line, to)
	case "AUTH":
		if code == "234" {
			h.inTLS = h.w.dice.within(1, 4)
			if h.ccc = h.w.dice.chance(30); h.ccc {
				h.inTLS++ // after the handshake
			}
			h.tlsRecord()
			return
		}
	case "QUIT":
		h.over = true
		return
	}
	h.w.push(event{at: h.w.now + pick(h.w.dice, 0, 0, h.w.dice.ms(0, 20), h.w.dice.ms(100, 5000)), kind: evThink})
}

// passive checks that the address of a 227 or 229 leads to the server's port.
func (h *honest) passive(line string, from, to int) {
	w := h.w
	var at netip.AddrPort
	var err error
	if strings.HasPrefix(line, "227") {
		if at, err = digitPASV(line); at.Addr().IsUnspecified() && w.addrs.VIP.Addr().Is6() {
			at = addrPort(w.addrs.VIP, at.Port())
		}
	} else {
		var p uint16
		p, err = curlEPSV(line)
		at = addrPort(w.addrs.VIP, p)
	}
	last := w.latest()
	if err == nil && at.Addr() == w.addrs.VIP.Addr() && last.Passive && last.At == at && last.To == addrPort(w.addrs.Backend, w.server.port) {
		return
	}
	if why := h.excuse(from, to); why != "" {
		w.trace("excused: %s", why)
		return
	}
	kind := "passive"
	if at.Addr() == w.addrs.Backend.Addr() {
		kind = "private address"
	}
	w.fault(kind, "%q: port %d, latest expectation %v", line, w.server.port, last.DataConn)
}

// active checks that the server read the address that it must.
func (h *honest) active(line string, to int) {
	if h.x.works {
		return
	}
	if why := h.excuse(to, to); why != "" {
		h.w.trace("excused: %s", why)
		return
	}
	h.w.fault("active", "port %d: %q, read by the server: %v, latest expectation %v", h.x.port, line, h.x.read, h.w.latest().DataConn)
}

// wanted is asked when the server reads an address.
func (h *honest) wanted(a netip.AddrPort) bool {
	w := h.w
	last := w.latest()
	h.x.read = true
	at := addrPort(w.addrs.Client, h.x.port)
	h.x.works = !last.Passive && last.At == a && last.To == at && a.Addr() == w.addrs.Seen.Addr()
	return h.x.works
}

func (h *honest) think() { h.command() }
