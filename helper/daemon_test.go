package helper

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// host is a daemon between a client and a backend, without a kernel.
type host struct {
	t       *testing.T
	d       *Daemon
	worker  *worker
	tracker *fakeTracker
	queue   *fakeQueue
	log     *logBuffer
	id      uint32
	seq     [2]uint32
}

func testConfig(t testing.TB) *configs.Config {
	t.Helper()
	cfg, err := configs.Parse("test.yaml", []byte(`
vips:
  - {name: ftp, addresses: [192.0.2.10, "2001:db8::10"], port: 21, pool: farm}
pools:
  - name: farm
    backends:
      - {name: ftp1, addresses: [10.2.0.11, "fd00::11"]}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func newHost(t *testing.T, conn track.Connection) *host {
	t.Helper()
	cfg := testConfig(t)
	h := &host{
		t: t, tracker: &fakeTracker{conn: conn, busy: map[uint16]bool{}, fates: map[journal.Flow]track.Inspection{}},
		queue: &fakeQueue{t: t, verdicts: map[uint32]string{}}, log: &logBuffer{}, seq: [2]uint32{100, 200},
	}
	h.d = New(cfg, slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Options{})
	h.d.asker = h.tracker
	h.d.preexisting.complete(1)
	h.worker = newWorker(2100)
	h.worker.tracker = h.tracker
	h.d.workers = []*worker{h.worker}
	return h
}

// send puts one segment on the wire as it looks after NAT, and returns its packet id.
func (h *host) send(dir ftp.Direction, payload string) uint32 {
	h.t.Helper()
	h.id++
	p := pathsOf(&h.tracker.conn)[dir]
	h.d.handle(h.worker, h.queue, h.id, segment(h.t, p.src, p.dst, h.seq[dir], h.seq[1-dir], payload))
	h.seq[dir] += uint32(len(payload))
	return h.id
}

func segment(t *testing.T, src, dst netip.AddrPort, seq, ack uint32, payload string) []byte {
	t.Helper()
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: seq, Ack: ack, ACK: true, PSH: true, Window: 1000,
	}
	var ip interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	} = &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolTCP, HopLimit: 60, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(),
	}
	if src.Addr().Is4() {
		ip = &layers.IPv4{
			Version: 4, Protocol: layers.IPProtocolTCP, TTL: 60, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(),
		}
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ip, tcp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// settle has the accounts of ended sessions closed, as if their time had come.
func (h *host) settle() {
	for {
		select {
		case r := <-h.d.retired:
			h.d.close(r)
		default:
			return
		}
	}
}

func (h *host) want(id uint32, verdict string) {
	h.t.Helper()
	if got := h.queue.verdict(id); got != verdict {
		h.t.Errorf("packet %d: verdict %q, want %q\n%s", id, got, verdict, h.log)
	}
}

func TestPassive(t *testing.T) {
	h := newHost(t, twoArm)
	h.want(h.send(ftp.FromServer, "220 ready\r\n"), "accept")
	h.want(h.send(ftp.FromClient, "PASV\r\n"), "accept")
	h.want(h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"),
		"227 Entering Passive Mode (192,0,2,10,195,80)\r\n")
	want := ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50000")}
	if len(h.tracker.opened) != 1 || h.tracker.opened[0].To != want.To || h.tracker.opened[0].Port != want.Port {
		t.Errorf("opened %+v, want %+v", h.tracker.opened, want)
	}
	if h.tracker.lookups != 1 {
		t.Errorf("%d look-ups for one session, want 1", h.tracker.lookups)
	}
}

func TestActiveOneArm(t *testing.T) {
	h := newHost(t, oneArm)
	h.send(ftp.FromServer, "220 ready\r\n")
	id := h.send(ftp.FromClient, "PORT 203,0,113,9,156,65\r\n")
	got := h.queue.verdict(id)
	if !strings.HasPrefix(got, "PORT ") || len(got) != len("PORT 203,0,113,9,156,65\r\n") {
		t.Fatalf("verdict %q", got)
	}
	if len(h.tracker.opened) != 1 || h.tracker.opened[0].To != at("203.0.113.9:40001") {
		t.Errorf("opened %+v", h.tracker.opened)
	}
}

func TestIPv6(t *testing.T) {
	h := newHost(t, twoArm6)
	h.tracker.busy[50000] = true
	h.send(ftp.FromClient, "EPSV\r\n")
	id := h.send(ftp.FromServer, "229 Entering Extended Passive Mode (|||50000|)\r\n")
	if len(h.tracker.opened) != 1 || h.tracker.opened[0].Port == 50000 {
		t.Fatalf("opened %+v", h.tracker.opened)
	}
	want := fmt.Sprintf("(|||%d|)", h.tracker.opened[0].Port)
	if got := h.queue.verdict(id); !strings.Contains(got, want) {
		t.Errorf("verdict %q does not name %s", got, want)
	}
}

// A reply in two segments: both get their verdicts in the end, each its own.
func TestSplitReply(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromServer, "220 ready\r\n")
	h.send(ftp.FromClient, "PASV\r\n")
	first := h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0")
	if v := h.queue.verdict(first); v != "" {
		t.Fatalf("the first half is not held: %q", v)
	}
	second := h.send(ftp.FromServer, ",11,195,80).\r\n")
	whole := h.queue.verdict(first) + h.queue.verdict(second)
	if whole != "227 Entering Passive Mode (192,0,2,10,195,80)\r\n" {
		t.Errorf("the client reads %q", whole)
	}
}

// A held packet whose rest never comes is released by the timer.
func TestHeldPacketIsReleased(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromServer, "220 ready\r\n")
	h.send(ftp.FromClient, "PASV\r\n")
	id := h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0")
	if v := h.queue.verdict(id); v != "" {
		t.Fatalf("the packet is not held: %q", v)
	}
	for deadline := time.Now().Add(5 * time.Second); h.queue.verdict(id) == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the packet is still held")
		}
	}
}

func TestNotOurs(t *testing.T) {
	h := newHost(t, twoArm)
	h.id = 2
	h.d.handle(h.worker, h.queue, 1, []byte("no packet at all"))
	h.want(1, "drop")
	h.d.handle(h.worker, h.queue, 2, segment(t, at("10.0.0.1:1"), at("10.0.0.2:2"), 1, 1, "PASV\r\n"))
	h.want(2, "spoilt")
	h.tracker.conn.VIP = at("192.0.2.99:21")
	h.want(h.send(ftp.FromServer, "220 ready\r\n"), "accept")
	if n := h.paths(); n != 0 {
		t.Errorf("%d sessions were made", n)
	}
	if n := strings.Count(h.log.String(), "level=WARN"); n != 3 {
		t.Errorf("%d warnings, want 3:\n%s", n, h.log)
	}
}

func TestEnding(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromClient, "USER bob\r\n")
	h.d.forget(track.Connection{ID: 99, Endpoints: ftp.Endpoints{Client: twoArm.Client, VIP: twoArm.VIP}}, endClosed)
	if n := h.paths(); n != 2 {
		t.Errorf("%d paths after the ending of another connection, want 2", n)
	}
	h.d.forget(twoArm, endClosed)
	h.settle()
	if n := h.paths(); n != 0 {
		t.Errorf("%d paths are left", n)
	}
	if !strings.Contains(h.log.String(), `msg="session ended" vip=ftp backend=ftp1 client=203.0.113.9:40000 user=bob`) {
		t.Errorf("no line about the session's end:\n%s", h.log)
	}
}

// New connections from an old one's port get a session of their own.
func TestStaleSession(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromClient, "USER bob\r\n")
	old := h.d.sessions.find(pathsOf(&twoArm)[0])
	again := twoArm
	again.ID = 77
	s := &session{conn: again}
	current, stale := h.d.sessions.add(s)
	if current != s || len(stale) != 1 || stale[0] != old {
		t.Errorf("current %p, stale %p; want %p and %p", current, stale, s, old)
	}
	elsewhere := again
	elsewhere.ID, elsewhere.Backend = 78, at("10.2.0.12:21")
	if _, stale := h.d.sessions.add(&session{conn: elsewhere}); len(stale) != 1 || stale[0] != s {
		t.Errorf("from the same port to another backend: stale %p, want %p", stale, s)
	}
	if n := h.paths(); n != 2 {
		t.Errorf("%d paths, want 2", n)
	}
	again = elsewhere
	s = h.d.sessions.find(pathsOf(&again)[0])
	if current, stale := h.d.sessions.add(&session{conn: again}); current != s || stale != nil {
		t.Error("the other direction's packet made a second session")
	}
}

// sweep sweeps the whole table, an hour from now.
func (h *host) sweep() {
	var w sweeper
	for range shards {
		h.d.sweep(&w, time.Now().Add(time.Hour))
	}
}

// paths is how many entries the table has.
func (h *host) paths() (n int) {
	for i := range h.d.sessions.shards {
		n += len(h.d.sessions.shards[i].sessions)
	}
	return n
}

func TestSweep(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromClient, "USER bob\r\n")
	h.sweep()
	if n := h.paths(); n != 2 {
		t.Errorf("a session that conntrack knows was swept away: %d paths", n)
	}
	h.tracker.conn.Client = at("203.0.113.9:1")
	h.sweep()
	if n := h.paths(); n != 0 {
		t.Errorf("a session that conntrack does not know stays: %d paths", n)
	}
}

// Two queues, both directions at once, many sessions: for the race detector.
func TestConcurrent(t *testing.T) {
	h := newHost(t, twoArm)
	var wait sync.WaitGroup
	for dir, text := range map[ftp.Direction]string{ftp.FromClient: "NOOP\r\n", ftp.FromServer: "200 ok\r\n"} {
		q, w := &fakeQueue{t: t, verdicts: map[uint32]string{}}, newWorker(2100)
		w.tracker = h.tracker
		wait.Go(func() {
			p := pathsOf(&twoArm)[dir]
			for i := range uint32(200) {
				h.d.handle(w, q, i, segment(t, p.src, p.dst, 1000+i*uint32(len(text)), 1000, text))
			}
			if len(q.verdicts) != 200 {
				t.Errorf("%d verdicts for 200 packets", len(q.verdicts))
			}
		})
	}
	wait.Wait()
}

// TestEndOfUnknownConnection: a segment without payload has nothing to read, so nobody asks whose it is.
func TestEndOfUnknownConnection(t *testing.T) {
	h := newHost(t, twoArm)
	h.want(h.send(ftp.FromClient, ""), "accept")
	if h.tracker.lookups != 0 || len(h.d.sessions.all()) != 0 {
		t.Errorf("%d look-ups, %d sessions", h.tracker.lookups, len(h.d.sessions.all()))
	}
	if h.log.String() != "" {
		t.Errorf("the log has %s", h.log)
	}
}
