package helper

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A sweep asks about a bounded number of sessions, and sweeps together about all, each once.
func TestSweepInRounds(t *testing.T) {
	const n = 3 * shards * sweepMost / 2 // one and a half for each part
	h := newHost(t, twoArm)
	h.d.asker = h.tracker // which knows none of them
	manySessions(h.d, n)
	later := time.Now().Add(time.Hour)
	var w sweeper
	for rounds := 1; h.paths() > 0; rounds++ {
		before := h.tracker.lookups
		h.d.sweep(&w, later)
		if asked := h.tracker.lookups - before; asked > sweepMost {
			t.Fatalf("%d look-ups at once", asked)
		}
		if rounds > 3*shards {
			t.Fatalf("%d paths are left after %d sweeps", h.paths(), rounds)
		}
	}
	if h.tracker.lookups != n {
		t.Errorf("%d look-ups for %d sessions", h.tracker.lookups, n)
	}
	if w.rest != nil {
		t.Errorf("%d sessions are kept", len(w.rest))
	}
}

// A session that speaks while it waits for its turn is not asked about.
func TestSweepLeavesTheLively(t *testing.T) {
	h := newHost(t, twoArm)
	h.d.asker = h.tracker
	manySessions(h.d, 1)
	s := h.d.sessions.all()[0]
	later := time.Now().Add(time.Hour)
	s.seen.Store(int64(h.d.moment(later)))
	h.d.sweep(&sweeper{rest: []*session{s}}, later)
	if h.tracker.lookups != 0 {
		t.Errorf("%d look-ups", h.tracker.lookups)
	}
}

// The watchdog is fed while a sweep waits for conntrack.
func TestFeedWhileSweeping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000") // fed every 20 ms
	h := newHost(t, twoArm)
	h.d.asker = h.tracker
	manySessions(h.d, 1)
	h.tracker.mu.Lock() // conntrack does not answer
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		h.d.sweep(&sweeper{rest: h.d.sessions.all()}, time.Now().Add(time.Hour))
	}()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.d.feedAll(ctx) }()
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for i := range 3 {
		if n, err := socket.Read(b); err != nil || string(b[:n]) != "WATCHDOG=1" {
			t.Errorf("%d: %q, %v", i, b[:n], err)
		}
	}
	select {
	case <-swept:
		t.Error("the sweep did not wait")
	default:
	}
	h.tracker.mu.Unlock()
	<-swept
	cancel()
	<-stopped
}
