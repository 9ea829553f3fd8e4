package helper

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/packet"
	"ftpvip/helper/track"
)

// maxIdleBytes is what an idle session may keep of the heap, all that is kept because of it included: 10,000 of them
// have to fit into 40 MB of resident memory, beside the program itself and the collector's slack.
const maxIdleBytes = 1400

// crowdTracker is a conntrack with a two-arm connection for every client that is asked about.
type crowdTracker struct {
	fakeTracker
	backend, vip netip.AddrPort
}

func (t *crowdTracker) Lookup(src, dst netip.AddrPort) (track.Entry, error) {
	client := src
	if src == t.vip {
		client = dst
	}
	ends := ftp.Endpoints{Client: client, VIP: t.vip, Backend: t.backend, Seen: client}
	return track.Entry{Connection: track.Connection{ID: uint32(client.Port()), Endpoints: ends}, Carrier: true}, nil
}

func (t *crowdTracker) Expect(track.Connection, ftp.DataConn) error { return nil }

// silentQueue takes every verdict.
type silentQueue struct{}

func (silentQueue) accept(uint32) error          { return nil }
func (silentQueue) drop(uint32) error            { return nil }
func (silentQueue) replace(uint32, []byte) error { return nil }

// dialogue is a session up to the end of its first transfer.
var dialogue = []struct {
	dir  ftp.Direction
	line string
}{
	{ftp.FromServer, "220 ready\r\n"},
	{ftp.FromClient, "USER files\r\n"},
	{ftp.FromServer, "331 password\r\n"},
	{ftp.FromClient, "PASS x\r\n"},
	{ftp.FromServer, "230 logged in\r\n"},
	{ftp.FromClient, "PASV\r\n"},
	{ftp.FromServer, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"},
	{ftp.FromClient, "RETR file\r\n"},
	{ftp.FromServer, "150 here it comes\r\n"},
	{ftp.FromServer, "226 done\r\n"},
}

// rawSegment is segment without its layers, for many of them.
func rawSegment(b []byte, src, dst netip.AddrPort, seq, ack uint32, payload string) []byte {
	b = append(b[:0], make([]byte, 40)...)
	b[0], b[8], b[9] = 4<<4|5, 60, 6
	binary.BigEndian.PutUint16(b[2:], uint16(40+len(payload)))
	s, d := src.Addr().As4(), dst.Addr().As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	binary.BigEndian.PutUint32(b[24:], seq)
	binary.BigEndian.PutUint32(b[28:], ack)
	b[32], b[33] = 5<<4, byte(packet.ACK|packet.PSH)
	b = append(b, payload...)
	if p, err := packet.Parse(b); err == nil {
		p.FixChecksum()
	}
	return b
}

// TestMemoryOfIdleSessions has many sessions with a transfer behind them, which conntrack still remembers.
func TestMemoryOfIdleSessions(t *testing.T) {
	const sessions = 10000
	tracker := &crowdTracker{backend: netip.MustParseAddrPort("10.2.0.11:21"), vip: netip.MustParseAddrPort("192.0.2.10:21")}
	d := New(testConfig(t), slog.New(slog.DiscardHandler), Options{})
	d.preexisting.complete(1)
	w := newWorker(2100)
	w.tracker = tracker
	var b []byte
	before := heapInUse()
	for i := range sessions {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 40000)
		conn, _ := tracker.Lookup(client, tracker.backend)
		seq := [2]uint32{1000, 2000}
		for id, l := range dialogue {
			p := pathsOf(&conn.Connection)[l.dir]
			b = rawSegment(b, p.src, p.dst, seq[l.dir], seq[1-l.dir], l.line)
			seq[l.dir] += uint32(len(l.line))
			d.handle(w, silentQueue{}, uint32(id), b)
			if strings.HasPrefix(l.line, "227 ") {
				d.dataOpened(path{tracker.vip, client}, journal.Flow{
					Src: netip.AddrPortFrom(client.Addr(), 40001), Dst: netip.AddrPortFrom(tracker.vip.Addr(), 50000),
				})
			}
		}
	}
	checkKept(t, before, sessions, maxIdleBytes)
	if n := len(d.sessions.all()); n != sessions {
		t.Fatalf("%d sessions, want %d", n, sessions)
	}
	f := d.Figures()
	if got := f.Data["opened"]; got != sessions {
		t.Errorf("%d data connections opened, want %d: the sessions are not what they are meant to be", got, sessions)
	}
	for _, s := range d.sessions.all() {
		s.end()
	}
}

// heapInUse is what is allocated and not garbage, once what earlier tests left is gone: their goroutines end when the
// machine comes to it.
func heapInUse() int64 {
	read := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	last := read()
	for same := 0; same < 5; same++ {
		time.Sleep(20 * time.Millisecond)
		now := read()
		if now < last-10_000 {
			same = 0
		}
		last = now
	}
	return last
}

// checkKept fails if each of n sessions keeps more than it may.
func checkKept(t *testing.T, before int64, n int, allowed int64) {
	t.Helper()
	each := (heapInUse() - before) / int64(n)
	t.Logf("a session keeps %d bytes", each)
	if each > allowed {
		t.Errorf("a session keeps %d bytes, at most %d are allowed", each, allowed)
	}
	if each <= 0 {
		t.Errorf("a session keeps %d bytes: something else was measured", each)
	}
}

// maxTalkedBytes is what a session may keep that has talked for long: what is acknowledged is forgotten.
const maxTalkedBytes = 4000

// TestMemoryAfterMuchTalk has sessions with hundreds of commands and a listing of many lines on the control connection behind
// them.
func TestMemoryAfterMuchTalk(t *testing.T) {
	const sessions = 500
	tracker := &crowdTracker{backend: netip.MustParseAddrPort("10.2.0.11:21"), vip: netip.MustParseAddrPort("192.0.2.10:21")}
	d := New(testConfig(t), slog.New(slog.DiscardHandler), Options{})
	d.preexisting.complete(1)
	w := newWorker(2100)
	w.tracker = tracker
	listing := "211-Status\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 900) + "211 End\r\n"
	var b []byte
	before := heapInUse()
	for i := range sessions {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 40000)
		conn, _ := tracker.Lookup(client, tracker.backend)
		seq := [2]uint32{1000, 2000}
		say := func(dir ftp.Direction, text string) {
			for ; text != ""; text = text[min(len(text), 1400):] {
				p, part := pathsOf(&conn.Connection)[dir], text[:min(len(text), 1400)]
				b = rawSegment(b, p.src, p.dst, seq[dir], seq[1-dir], part)
				seq[dir] += uint32(len(part))
				d.handle(w, silentQueue{}, 1, b)
			}
		}
		say(ftp.FromServer, "220 ready\r\n")
		for range 200 {
			say(ftp.FromClient, "CWD /a/folder/with/a/long/name/for/a/test\r\n")
			say(ftp.FromServer, "250 Directory successfully changed, and more words than that.\r\n")
		}
		say(ftp.FromClient, "STAT\r\n")
		say(ftp.FromServer, listing)
		say(ftp.FromClient, "NOOP\r\n")
		say(ftp.FromServer, "200 ok\r\n")
	}
	checkKept(t, before, sessions, maxTalkedBytes)
	if n := len(d.sessions.all()); n != sessions {
		t.Fatalf("%d sessions, want %d", n, sessions)
	}
	for _, s := range d.sessions.all() {
		s.end()
	}
}
