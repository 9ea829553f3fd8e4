package helper

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

// waits says whether packets wait for a worker.
func waits(w bool) func(*worker) bool { return func(*worker) bool { return w } }

func TestStuck(t *testing.T) {
	const limit = 10 * time.Second
	now := time.Unix(1000, 0)
	tests := []struct {
		name          string
		busy          time.Duration // the current packet's handling, so far
		before, after bool          // whether packets wait, at each look
		took          uint64        // packets between the two looks
		want          bool
	}{
		{name: "idle"},
		{name: "at work", busy: time.Second, before: true, after: true, took: 100},
		{name: "stuck in a packet", busy: time.Minute, want: true},
		{name: "does not come back for more", before: true, after: true, want: true},
		{name: "a packet has just come", after: true},
		{name: "packets came and went", before: true, took: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &worker{number: 7}
			watchdog := &watchdog{limit: limit}
			if got := watchdog.stuck(now, []*worker{w}, waits(tt.before)); len(got) > 0 {
				t.Fatalf("stuck at once: %v", got)
			}
			w.handled.Add(tt.took)
			if tt.busy > 0 {
				w.busy.Store(now.Add(-tt.busy).UnixNano())
			}
			if got := watchdog.stuck(now, []*worker{w}, waits(tt.after)); (len(got) > 0) != tt.want {
				t.Errorf("stuck %v, want %t", got, tt.want)
			}
		})
	}
}

func TestReload(t *testing.T) {
	h := newHost(t, twoArm)
	h.login()
	port := "PORT 198,51,100,7,200,22\r\n"
	if got := h.queue.verdict(h.send(ftp.FromClient, port)); got == "accept" {
		t.Fatalf("a third party is allowed: %q", got)
	}
	cfg := testConfig(t)
	cfg.VIPs[0].FXP = configs.FXPAllow
	cfg.VIPs[0].PortsMin = 2000
	cfg.Helper.Queues++
	h.d.Reload(cfg, "")
	h.want(h.send(ftp.FromClient, port), "accept")
	if got := h.queue.verdict(h.send(ftp.FromClient, "PORT 203,0,113,9,4,1\r\n")); got == "accept" {
		t.Errorf("port 1025 is allowed: %q", got)
	}
	h.wantLog("setting=helper.queues")
	if strings.Contains(h.log.String(), "setting=helper.first_queue") {
		t.Errorf("the log tells of a change that was none:\n%s", h.log)
	}

	cfg = testConfig(t)
	cfg.VIPs[0].Addrs.V4 = at("192.0.2.20:21").Addr()
	h.d.Reload(cfg, "")
	h.want(h.send(ftp.FromClient, port), "accept") // its VIP is gone, the session goes on
	h.wantLog("go on under their old policy")
	other := twoArm
	other.ID, other.VIP, other.Client = 9, at("192.0.2.20:21"), at("203.0.113.10:40000")
	other.Seen = other.Client
	h.tracker.conn, h.seq = other, [2]uint32{1, 1}
	h.send(ftp.FromServer, "220 ready\r\n")
	if n := len(slices.Collect(h.d.Sessions())); n != 2 {
		t.Errorf("%d sessions, want one of the new VIP too", n)
	}
}

// The limit in force is never above what the kernel takes.
func TestMaxDataAndTheKernel(t *testing.T) {
	for _, step := range []struct {
		configured int
		room       uint64
		want       int
	}{{16384, 4096, 4096}, {4096, 4096, 4096}, {100, 4096, 100}, {0, 4096, 4096}, {100, 0, 100}} {
		if got := awaitedLimit(step.configured, step.room); got != step.want {
			t.Errorf("%+v: the limit is %d", step, got)
		}
	}
	room := int(hostNumber("nf_conntrack_expect_max"))
	if room == 0 {
		t.Skip("conntrack is not loaded")
	}
	cfg := testConfig(t)
	cfg.Helper.MaxData = room + 1
	h := newHost(t, twoArm)
	h.d.Reload(cfg, "")
	if got := h.d.view.Load().limits.MaxData; got != room {
		t.Errorf("after a reload the limit is %d, want the kernel's %d", got, room)
	}
	warning := fmt.Sprintf("max_data=%d nf_conntrack_expect_max=%d", room+1, room)
	h.wantLog(warning)
	started := &logBuffer{}
	d := New(cfg, slog.New(slog.NewTextHandler(started, nil)), Options{})
	d.examineHost()
	if got := d.view.Load().limits.MaxData; got != room || !strings.Contains(started.String(), warning) {
		t.Errorf("at the start the limit is %d, want the kernel's %d; the log is %s", got, room, started)
	}
}

func TestPolicy(t *testing.T) {
	cfg := testConfig(t)
	for _, source := range []configs.DataSource{"", configs.SourceStrict, configs.SourceAny} {
		cfg.VIPs[0].DataSource = source
		p := newView(cfg).vips[twoArm.VIP].target(twoArm.Backend).policy
		if p.DataSourceAny != (source == configs.SourceAny) || p.FXPAllow {
			t.Errorf("data source %q: %+v", source, p)
		}
	}
}

// quietQueue takes every verdict.
type quietQueue struct{}

func (quietQueue) accept(uint32) error          { return nil }
func (quietQueue) drop(uint32) error            { return nil }
func (quietQueue) replace(uint32, []byte) error { return nil }

// BenchmarkHandle is one passed packet of a running session: a command or a reply that is not acted on.
func BenchmarkHandle(b *testing.B) {
	for name, conn := range map[string]track.Connection{"IPv4": twoArm, "IPv6": twoArm6} {
		for _, tls := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/tls=%t", name, tls), func(b *testing.B) { benchmarkHandle(b, conn, tls) })
		}
	}
}

func benchmarkHandle(b *testing.B, conn track.Connection, tls bool) {
	t := &testing.T{}
	h := newHost(t, conn)
	h.login()
	texts := [2]string{"NOOP\r\n", "200 ok\r\n"}
	if tls {
		h.send(ftp.FromClient, "AUTH TLS\r\n")
		h.send(ftp.FromServer, "234 go\r\n")
		h.send(ftp.FromClient, "\x16\x03\x01\x00\x05hello")
		h.send(ftp.FromServer, "\x16\x03\x03\x00\x05hello")
		texts = [2]string{"\x17\x03\x03\x00\x05hello", "\x17\x03\x03\x00\x05world"}
	}
	var packets [2][]byte
	paths := pathsOf(&conn)
	for dir, text := range texts {
		packets[dir] = segment(t, paths[dir].src, paths[dir].dst, h.seq[dir], h.seq[1-dir], text)
	}
	offset := 24
	if conn.VIP.Addr().Is6() {
		offset = 44
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		dir := i % 2
		p := packets[dir]
		seq := h.seq[dir]
		p[offset], p[offset+1], p[offset+2], p[offset+3] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
		h.seq[dir] += uint32(len(texts[dir]))
		h.d.handle(h.worker, quietQueue{}, uint32(i), p)
	}
}

// A loop that is stuck is told of in the log, and the watchdog goes hungry; another one's work does not feed it.
func TestFeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	h := newHost(t, twoArm)
	h.d.workers = []*worker{{number: 7}, {number: 8}}
	watchdog := h.d.watchdog()
	if watchdog == nil || watchdog.every != 10*time.Second {
		t.Fatalf("watchdog %+v, want one that is fed every 10 s", watchdog)
	}
	fed := func() bool {
		t.Helper()
		b := make([]byte, 100)
		if err := socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(b)
		return err == nil && string(b[:n]) == "WATCHDOG=1"
	}
	now := time.Now()
	h.d.feed(watchdog, now)
	if !fed() {
		t.Error("it is not fed, and all is well")
	}
	h.d.workers[1].busy.Store(now.UnixNano())
	h.d.workers[0].handled.Add(1)
	h.d.feed(watchdog, now.Add(watchdog.limit+time.Second))
	if fed() {
		t.Error("it is fed, and a loop is stuck")
	}
	h.wantLog("queue loops are stuck", "queues=[8]")
	h.d.workers[1].busy.Store(0)
	h.d.feed(watchdog, now.Add(2*watchdog.limit))
	if !fed() {
		t.Error("it is not fed when the loop goes on")
	}
}
