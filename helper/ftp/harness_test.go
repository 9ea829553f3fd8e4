package ftp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A session as a test sees it: what was sent, in each direction, and what came out.
type wire struct {
	t      testing.TB
	s      *Session
	now    time.Time
	seq    [2]uint32
	rcv    [2]uint32 // what the receiver of a direction acknowledges
	tag    uint32
	held   map[uint32]sentSeg
	got    [2][]byte // what the receiver has, in order
	opened []DataConn
	events []Event
	busy   map[uint16]bool
	err    error
}

type sentSeg struct {
	dir     Direction
	seq     uint32
	payload []byte
}

var (
	client4  = netip.MustParseAddrPort("203.0.113.9:40000")
	vip4     = netip.MustParseAddrPort("192.0.2.10:21")
	backend4 = netip.MustParseAddrPort("10.2.0.11:21")
	client6  = netip.MustParseAddrPort("[2001:db8:1::9]:40000")
	vip6     = netip.MustParseAddrPort("[2001:db8::10]:21")
	backend6 = netip.MustParseAddrPort("[fd00::11]:21")
)

func ends4() Endpoints {
	return Endpoints{Client: client4, VIP: vip4, Backend: backend4, Seen: client4}
}
func ends6() Endpoints {
	return Endpoints{Client: client6, VIP: vip6, Backend: backend6, Seen: client6}
}

func oneArm4() Endpoints {
	e := ends4()
	e.Seen = netip.MustParseAddrPort("10.2.0.1:61000")
	return e
}

func oneArm6() Endpoints {
	e := ends6()
	e.Seen = netip.MustParseAddrPort("[fd00::1]:61000")
	return e
}

// newWire is a session that is picked up in the middle.
func newWire(t testing.TB, e Endpoints, p Policy) *wire { return wireFrom(t, e, p, Midway) }

func wireFrom(t testing.TB, e Endpoints, p Policy, start Start) *wire {
	w := &wire{t: t, now: time.Unix(1700000000, 0), held: map[uint32]sentSeg{}, busy: map[uint16]bool{}}
	w.seq = [2]uint32{1000, 0xfffffff0} // the server's wraps around soon
	w.rcv = w.seq
	w.s = NewSession(&e, &p, start, w)
	w.s.OnEvent(func(e Event) { w.events = append(w.events, e) })
	return w
}

// greeted is a session seen from its start, with its greeting passed.
func greeted(t testing.TB, e Endpoints, p Policy) *wire {
	w := wireFrom(t, e, p, Fresh)
	w.server("220 ready\r\n")
	return w
}

// Open is the test's Opener.
func (w *wire) Open(d DataConn) error {
	if w.busy[d.Port] {
		return ErrPortBusy
	}
	if w.err != nil {
		return w.err
	}
	if !d.Provisional {
		w.opened = append(w.opened, d)
	}
	return nil
}

// send sends the next bytes of a direction as one segment.
func (w *wire) send(dir Direction, b string) []Verdict {
	w.t.Helper()
	seq := w.seq[dir]
	w.seq[dir] += uint32(len(b))
	return w.segment(dir, seq, b)
}

func (w *wire) client(b string) []Verdict { w.t.Helper(); return w.send(FromClient, b) }
func (w *wire) server(b string) []Verdict { w.t.Helper(); return w.send(FromServer, b) }

// segment sends a segment anywhere, and takes in the verdicts.
func (w *wire) segment(dir Direction, seq uint32, b string) []Verdict {
	w.t.Helper()
	w.tag++
	w.held[w.tag] = sentSeg{dir, seq, []byte(b)}
	buf := []byte(b)
	v := w.s.Segment(w.now, dir, Segment{Seq: seq, Ack: w.rcv[1-dir], Payload: buf}, w.tag, nil)
	w.take(v)
	for i := range buf {
		buf[i] = '#' // the caller uses it again
	}
	return v
}

func (w *wire) expire(d time.Duration) []Verdict {
	w.t.Helper()
	w.now = w.now.Add(d)
	v := w.s.Expire(w.now, nil)
	w.take(v)
	return v
}

func (w *wire) take(vs []Verdict) {
	w.t.Helper()
	for _, v := range vs {
		seg, ok := w.held[v.Tag]
		if !ok {
			w.t.Fatalf("verdict %v for tag %d, which has none to come", v.Action, v.Tag)
		}
		delete(w.held, v.Tag)
		p := seg.payload
		switch v.Action {
		case Drop:
			continue
		case Rewrite:
			if len(v.Payload) != len(p) {
				w.t.Fatalf("rewritten from %d to %d bytes: %q to %q", len(p), len(v.Payload), p, v.Payload)
			}
			p = v.Payload
		case Pass:
			if v.Payload != nil {
				w.t.Fatalf("passed with a payload")
			}
		}
		w.got[seg.dir] = append(w.got[seg.dir], p...)
		if end := seg.seq + uint32(len(p)); int32(seg.seq-w.rcv[seg.dir]) <= 0 && int32(end-w.rcv[seg.dir]) > 0 {
			w.rcv[seg.dir] = end
		}
	}
}

// sees is what the receiver got since the last call.
func (w *wire) sees(dir Direction) string {
	b := w.got[dir]
	w.got[dir] = nil
	return string(b)
}

func (w *wire) toClient() string  { return w.sees(FromServer) }
func (w *wire) toBackend() string { return w.sees(FromClient) }

// last is the last event of a kind.
func (w *wire) last(k Kind) (Event, bool) {
	for _, e := range slices.Backward(w.events) {
		if e.Kind == k {
			return e, true
		}
	}
	return Event{}, false
}

func (w *wire) wantRefused(r Reason) {
	w.t.Helper()
	e, ok := w.last(EventRefused)
	if !ok || e.Reason != r {
		w.t.Errorf("refused for %v (%v), want %v", e.Reason, ok, r)
	}
	if len(w.opened) > 0 {
		w.t.Errorf("refused, but opened %v", w.opened)
	}
}

func (w *wire) wantOpened(n int) {
	w.t.Helper()
	if len(w.opened) != n {
		w.t.Fatalf("opened %v, want %d", w.opened, n)
	}
}

func (w *wire) wantNoneHeld() {
	w.t.Helper()
	if len(w.held) > 0 {
		w.t.Errorf("%d segments without a verdict", len(w.held))
	}
	if !w.s.Deadline().IsZero() {
		w.t.Errorf("a deadline, with nothing held")
	}
}

// pasv sends PASV and forgets it.
func (w *wire) pasv() {
	w.t.Helper()
	w.client("PASV\r\n")
	w.toBackend()
	w.toClient()
}

func (w *wire) epsv() {
	w.t.Helper()
	w.client("EPSV\r\n")
	w.toBackend()
	w.toClient()
}

func sameLen(t testing.TB, a, b string) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d bytes became %d:\n%q\n%q", len(a), len(b), a, b)
	}
}

func eq(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got\n%q, want\n%q", got, want)
	}
}
