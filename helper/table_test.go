package helper

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ftpvip/helper/ftp"
)

// manySessions enters n sessions of one VIP into a table.
func manySessions(d *Daemon, n int) {
	for i := range n {
		c := twoArm
		c.ID = uint32(i + 1)
		c.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 40000)
		c.Seen = c.Client
		s := &session{daemon: d, conn: c, target: &target{}}
		s.engine = ftp.NewSession(&s.conn.Endpoints, &s.target.policy, ftp.Midway, s)
		d.sessions.add(s)
	}
}

// Whoever lists sessions does not wait for one that is at work, nor does it keep packets of others waiting meanwhile.
func TestIdleTakesNoSessionsLock(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromClient, "USER bob\r\n")
	s := h.d.sessions.all()[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := h.d.sessions.all(); !slices.Contains(list, s) {
		t.Errorf("%d sessions, and not the busy one", len(list))
	}
	for part := range shards {
		if list := h.d.sessions.idle(part, s.lastSeen()); len(list) != 0 {
			t.Errorf("part %d lists %d sessions as idle", part, len(list))
		}
	}
}

// Sessions are spread over all parts, each is listed once, and no part has much more than its share.
func TestShards(t *testing.T) {
	const n = 6400
	h := newHost(t, twoArm)
	manySessions(h.d, n)
	longest := 0
	seen := map[*session]bool{}
	for part := range shards {
		list := h.d.sessions.idle(part, math.MaxInt64)
		longest = max(longest, len(list))
		for _, s := range list {
			if seen[s] {
				t.Errorf("%v is listed twice", s.conn.Client)
			}
			seen[s] = true
		}
	}
	if len(seen) != n || longest > 3*n/shards {
		t.Errorf("%d sessions in all, want %d; %d in one part", len(seen), n, longest)
	}
	for s := range seen {
		if h.d.sessions.remove(s.conn) != s || h.d.sessions.remove(s.conn) != nil {
			t.Fatalf("%v is not removed once", s.conn.Client)
		}
	}
	if n := h.paths(); n != 0 {
		t.Errorf("%d paths are left", n)
	}
}

// Each round looks at a bounded number of sessions, and rounds together at all.
func TestFindClosedInRounds(t *testing.T) {
	const n = 1000
	h := newHost(t, twoArm)
	h.d.asker = h.tracker // which knows none of them
	manySessions(h.d, n)
	before := h.d.count.concluded.Load()
	h.d.findClosed(time.Now().Add(time.Minute))
	first := h.d.count.concluded.Load() - before
	if first < closingLooks || first > closingLooks+3*n/shards {
		t.Errorf("%d sessions in the first round, want about %d", first, closingLooks)
	}
	for range n/closingLooks + 1 {
		h.d.findClosed(time.Now().Add(time.Minute))
	}
	if got := h.d.count.concluded.Load() - before; got != n {
		t.Errorf("%d of %d sessions were closed", got, n)
	}
}
