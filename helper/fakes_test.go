package helper

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/packet"
	"ftpvip/helper/track"
)

// fakeTracker is a conntrack with one connection.
type fakeTracker struct {
	mu      sync.Mutex
	conn    track.Connection
	lookups int
	opened  []ftp.DataConn
	busy    map[uint16]bool
	fails   error // what Expect answers
	lost    error // what Lookup answers
	fates   map[journal.Flow]track.Inspection
	opaque  []bool
	ended   []track.Connection

	refreshed []track.Connection

	entry  *track.Connection // of conn, where it is not the same
	picked bool              // conntrack did not see the beginning
}

func (f *fakeTracker) Lookup(src, dst netip.AddrPort) (track.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookups++
	if f.lost != nil {
		return track.Entry{}, f.lost
	}
	for _, p := range pathsOf(&f.conn) {
		if (path{src, dst}) == p {
			e := track.Entry{Connection: f.conn, Carrier: true, Midstream: f.picked}
			if f.entry != nil {
				e.Connection = *f.entry
			}
			return e, nil
		}
	}
	return track.Entry{}, track.ErrNoConnection
}

func (f *fakeTracker) Expect(c track.Connection, d ftp.DataConn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c != f.conn {
		return track.ErrNoConnection
	}
	if f.fails != nil {
		return f.fails
	}
	if f.busy[d.Port] {
		return ftp.ErrPortBusy
	}
	f.opened = append(f.opened, d)
	return nil
}

func (f *fakeTracker) Inspect(src, dst netip.AddrPort) (track.Inspection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in, ok := f.fates[journal.Flow{Src: src, Dst: dst}]; ok {
		return in, nil
	}
	return track.Inspection{}, track.ErrNoConnection
}

func (f *fakeTracker) SetOpaque(_ track.Connection, opaque bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opaque = append(f.opaque, opaque)
	return nil
}

func (f *fakeTracker) Refresh(c track.Connection, _ time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refreshed = append(f.refreshed, c)
	return nil
}

func (f *fakeTracker) End(c track.Connection) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, c)
	return nil
}

func (f *fakeTracker) Close() error { return nil }

// fakeQueue remembers the verdicts. It refuses a second one for a packet.
type fakeQueue struct {
	mu       sync.Mutex
	t        *testing.T
	verdicts map[uint32]string // accept, drop, or the new payload
}

func (f *fakeQueue) give(id uint32, verdict string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.verdicts[id]; ok {
		f.t.Errorf("packet %d has verdict %q and gets %q", id, old, verdict)
	}
	f.verdicts[id] = verdict
	return nil
}

func (f *fakeQueue) accept(id uint32) error { return f.give(id, "accept") }
func (f *fakeQueue) drop(id uint32) error   { return f.give(id, "drop") }

func (f *fakeQueue) replace(id uint32, b []byte) error {
	p, err := packet.Parse(b)
	if err != nil {
		f.t.Errorf("packet %d was rewritten to something unreadable: %v", id, err)
		return nil
	}
	if !p.ChecksumOK() {
		return f.give(id, "spoilt")
	}
	return f.give(id, string(p.Payload))
}

func (f *fakeQueue) verdict(id uint32) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.verdicts[id]
}

// logBuffer is a log that timers may write to, too.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
