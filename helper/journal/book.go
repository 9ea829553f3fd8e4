package journal

import (
	"net/netip"
	"slices"
	"time"

	"ftpvip/helper/ftp"
)

// Bounds of what one session may make us remember.
const (
	maxUnopened = 4    // announcements that were not used
	maxOpen     = 1024 // data connections that conntrack has not forgotten: it keeps closed ones for minutes
)

// Book is the account of one control connection between two ends.
type Book struct {
	Ends  *ftp.Endpoints
	Blind bool // openings are not heard of: then nothing is said to have never come

	latest   *ftp.DataConn // that was announced; nil: none
	more     uint32        // failures that are not told one by one
	born     time.Time     // when the first entry was made
	data     []data        // announced or open, oldest first
	sums     []sum         // only those that there are
	failures []Failure
}

// sum is a Sum and what it is of.
type sum struct {
	mode Mode
	dir  Direction
	Sum
}

// since makes a time small.
func (b *Book) since(now time.Time) time.Duration {
	if b.born.IsZero() {
		b.born = now
	}
	return now.Sub(b.born)
}

// state of a data connection.
type state uint8

const (
	waiting  state = iota // announced
	replaced              // another one was announced since; it may still come, if it is on its way
	late                  // counted as failed already
	open
)

// data is a data connection. There are tens of thousands of them, so it is small.
type data struct {
	state   state
	dir     Direction
	mode    Mode
	seen    uint8         // how often its first packet came, and was dropped by this host
	command ftp.Command   // that announced it; CmdNone where that was not seen
	made    time.Duration // when it was announced, or opened, since the book's first entry
	src     end           // where open
	at, to  end           // what was announced; at is its destination
}

func (d *data) flow() Flow { return Flow{d.src.addrPort(), d.at.addrPort()} }

// is reports whether d is an open connection f.
func (d *data) is(f Flow) bool {
	return d.state == open && d.at == endOf(f.Dst) && d.src == endOf(f.Src)
}

// end is an address and a port in two thirds of the room.
type end struct {
	addr [16]byte
	port uint16
	kind uint8 // 0: none; 4 or 6: the version of IP
}

func endOf(a netip.AddrPort) (e end) {
	if !a.IsValid() {
		return end{}
	}
	e = end{a.Addr().As16(), a.Port(), 6}
	if a.Addr().Is4() {
		e.kind = 4
	}
	return e
}

func (e end) addrPort() netip.AddrPort {
	a := netip.AddrFrom16(e.addr)
	switch e.kind {
	case 0:
		return netip.AddrPort{}
	case 4:
		a = a.Unmap()
	}
	return netip.AddrPortFrom(a, e.port)
}

// Flow names a data connection, by the direction in which it was opened.
type Flow struct {
	Src, Dst netip.AddrPort
}

// Fate is what conntrack knows of a data connection, at its end or on the way.
type Fate struct {
	Answered bool // by the other end
	Reset    bool // the other end's only answer was a reset
	Gone     bool // conntrack has forgotten it
	Counted  bool // conntrack counted it (net.netfilter.nf_conntrack_acct)
	Opener   uint64
	Answerer uint64 // bytes that each end sent
}

// Done is a data connection that has been accounted for.
type Done struct {
	Mode      Mode
	Direction Direction
	Bytes     uint64
	Counted   bool
	Failure   *Failure // it carried nothing
}

// Announce enters an announcement. It returns the failure of the one before, if that was waited for in vain.
func (b *Book) Announce(now time.Time, c ftp.DataConn) *Failure {
	var failed *Failure
	at, to := endOf(c.At), endOf(c.To)
	unopened, oldest := 0, -1
	for i := range b.data {
		d := &b.data[i]
		if d.state == open {
			continue
		}
		if d.state == waiting {
			if d.command == c.Command && d.at == at && d.to == to {
				return nil // a retransmission, read by a helper that was restarted
			}
			if failed = b.judge(now, d, Doubt); failed == nil {
				d.state = replaced
			}
		}
		if unopened++; oldest < 0 {
			oldest = i
		}
	}
	if unopened >= maxUnopened {
		b.data = slices.Delete(b.data, oldest, oldest+1)
	}
	b.latest = &c
	b.data = append(b.data, data{state: waiting, mode: modeOf(c), command: c.Command, made: b.since(now), at: at, to: to})
	return failed
}

func modeOf(c ftp.DataConn) Mode {
	if c.Passive {
		return Passive
	}
	return Active
}

// judge enters a failure, if d was awaited for at least that long.
func (b *Book) judge(now time.Time, d *data, least time.Duration) *Failure {
	waited := b.since(now) - d.made
	if waited < least || b.Blind {
		return nil
	}
	d.state = late
	f := Failure{Cause: NeverCame, Mode: d.mode, Command: d.command, At: d.at.addrPort(), From: b.Ends.Backend.Addr(), Waited: waited}
	if d.seen > 0 {
		f.Cause = Dropped
	}
	b.Fail(f)
	return &f
}

// Command says that a transfer in a direction was asked for; it goes over the last data connection.
func (b *Book) Command(dir Direction) {
	if n := len(b.data); n > 0 && b.data[n-1].dir == Unknown {
		b.data[n-1].dir = dir
	}
}

// Opened enters the opening of a data connection. awaited says that the latest announcement has been used. Bytes of
// a connection that had to make room stay unknown: it is returned.
func (b *Book) Opened(now time.Time, f Flow) (awaited bool, gone *Flow) {
	if b.opened() >= maxOpen {
		i := slices.IndexFunc(b.data, func(d data) bool { return d.state == open })
		flow := b.data[i].flow()
		b.Close(now, flow, Fate{Answered: true})
		gone = &flow
	}
	src, dst := endOf(f.Src), endOf(f.Dst)
	for i := len(b.data) - 1; i >= 0; i-- {
		d := &b.data[i]
		if d.state != open && d.at == dst {
			awaited = d.state == waiting
			if b.latest != nil && b.latest.At == f.Dst {
				b.latest = nil
			}
			d.state, d.src, d.made = open, src, b.since(now)
			return awaited, gone
		}
	}
	mode := Active // announced before the helper started
	if f.Src.Addr() == b.Ends.Client.Addr() {
		mode = Passive
	}
	b.data = append(b.data, data{state: open, mode: mode, made: b.since(now), src: src, at: dst})
	return false, gone
}

func (b *Book) opened() (n int) {
	for i := range b.data {
		if b.data[i].state == open {
			n++
		}
	}
	return n
}

// Open lists the data connections that are open, or closed but not accounted for.
func (b *Book) Open() []Flow {
	var list []Flow
	for i := range b.data {
		if b.data[i].state == open {
			list = append(list, b.data[i].flow())
		}
	}
	return list
}

// AnyOpen says whether Open would list any.
func (b *Book) AnyOpen() bool { return b.opened() > 0 }

// Waiting says that a data connection is announced and awaited.
func (b *Book) Waiting() bool {
	for i := range b.data {
		if b.data[i].state == waiting {
			return true
		}
	}
	return false
}

// maxAgain is how often an announcement is made again.
const maxAgain = 8

// Seen enters that the first packet of what is announced at an address has come, and that no connection came of it. It returns the
// announcement if that is still awaited, and is to be made again.
func (b *Book) Seen(at netip.AddrPort) (c ftp.DataConn, again bool) {
	for i := range b.data {
		if d := &b.data[i]; d.state == waiting && d.at == endOf(at) {
			d.seen++
			if b.latest == nil || b.latest.At != at {
				return c, false
			}
			return *b.latest, d.seen <= maxAgain
		}
	}
	return c, false
}

// Overdue enters as failed what was announced Patience ago and did not come.
func (b *Book) Overdue(now time.Time) []Failure { return b.judgeAll(now, Patience) }

// End enters as failed what was awaited when the session ended.
func (b *Book) End(now time.Time) []Failure { return b.judgeAll(now, Doubt) }

func (b *Book) judgeAll(now time.Time, least time.Duration) (failed []Failure) {
	for i := range b.data {
		if d := &b.data[i]; d.state == waiting {
			if f := b.judge(now, d, least); f != nil {
				failed = append(failed, *f)
			}
		}
	}
	return failed
}

// Close accounts for a data connection. It returns false where it is unknown, or was accounted for before.
func (b *Book) Close(now time.Time, f Flow, fate Fate) (Done, bool) {
	i := slices.IndexFunc(b.data, func(d data) bool { return d.is(f) })
	if i < 0 {
		return Done{}, false
	}
	d := b.data[i]
	b.data = slices.Delete(b.data, i, i+1)
	if !fate.Answered {
		failure := Failure{Cause: NoAnswer, Mode: d.mode, Command: d.command, At: d.to.addrPort()}
		if !failure.At.IsValid() {
			failure.At = f.Dst
		}
		// conntrack forgets an unanswered connection after two minutes, one that was reset at once.
		if fate.Reset || fate.Gone && b.since(now)-d.made < resetWithin {
			failure.Cause = PeerReset
		}
		b.Fail(failure)
		return Done{Mode: d.mode, Direction: d.dir, Failure: &failure}, true
	}
	done := d.measure(fate)
	sum := b.sum(done.Mode, done.Direction)
	sum.Count++
	sum.Bytes += done.Bytes
	if !done.Counted {
		sum.Uncounted++
	}
	return done, true
}

// resetWithin is how soon conntrack forgets a connection that was reset, where it does not say that it was. The
// default of net.netfilter.nf_conntrack_tcp_timeout_syn_sent is 120 s.
const resetWithin = 30 * time.Second

// measure finds the direction where no command told it, and that side's bytes.
func (d *data) measure(fate Fate) Done {
	client, server := fate.Opener, fate.Answerer
	if d.mode == Active {
		client, server = server, client
	}
	done := Done{Mode: d.mode, Direction: d.dir, Counted: fate.Counted}
	switch {
	case !fate.Counted:
		return done
	case done.Direction == Unknown && server > client:
		done.Direction = Download
	case done.Direction == Unknown && client > server:
		done.Direction = Upload
	}
	done.Bytes = server
	if done.Direction == Upload {
		done.Bytes = client
	}
	return done
}

// sum is where transfers of a kind are added up.
func (b *Book) sum(m Mode, d Direction) *Sum {
	i := slices.IndexFunc(b.sums, func(s sum) bool { return s.mode == m && s.dir == d })
	if i < 0 {
		i = len(b.sums)
		b.sums = append(b.sums, sum{mode: m, dir: d})
	}
	return &b.sums[i].Sum
}

// Sums returns what the transfers that are accounted for add up to.
func (b *Book) Sums() (sums [NumModes][NumDirections]Sum) {
	for _, s := range b.sums {
		sums[s.mode][s.dir] = s.Sum
	}
	return sums
}
