package helper

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

// login lets a session begin.
func (h *host) login() {
	h.t.Helper()
	h.send(ftp.FromServer, "220 ready\r\n")
	h.send(ftp.FromClient, "USER bob\r\n")
	h.send(ftp.FromServer, "331 password\r\n")
	h.send(ftp.FromClient, "PASS secret\r\n")
	h.send(ftp.FromServer, "230 in\r\n")
}

// passive announces a data connection to port 50000 of the VIP.
func (h *host) passive() {
	h.t.Helper()
	h.send(ftp.FromClient, "PASV\r\n")
	h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
}

var dataFlow = journal.Flow{Src: at("203.0.113.9:41000"), Dst: at("192.0.2.10:50000")}

// event is conntrack's about a data connection.
func event(flow journal.Flow, destroyed bool, change func(*conntrack.Flow)) *conntrack.Event {
	f := &conntrack.Flow{
		TupleOrig: track.Tuple(flow.Src, flow.Dst), TupleReply: track.Tuple(at("10.2.0.11:50000"), flow.Src),
		TupleMaster: track.Tuple(twoArm.Client, twoArm.VIP), Status: conntrack.StatusExpected | conntrack.StatusSeenReply,
	}
	e := &conntrack.Event{Type: conntrack.EventNew, Flow: f}
	if destroyed {
		e.Type, f.TupleMaster = conntrack.EventDestroy, conntrack.Tuple{}
	}
	if change != nil {
		change(f)
	}
	return e
}

func counted(f *conntrack.Flow) {
	f.CountersOrig = conntrack.Counter{Packets: 4, Bytes: 300}
	f.CountersReply = conntrack.Counter{Direction: true, Packets: 9, Bytes: 9000}
}

func (h *host) wantLog(parts ...string) {
	h.t.Helper()
	for _, part := range parts {
		if !strings.Contains(h.log.String(), part) {
			h.t.Errorf("the log lacks %q:\n%s", part, h.log)
		}
	}
}

func (h *host) end() {
	h.d.forget(h.tracker.conn, endClosed)
	h.settle()
}

func TestAccount(t *testing.T) {
	h := newHost(t, twoArm)
	h.login()
	h.passive()
	h.d.happened(event(dataFlow, false, nil))
	h.send(ftp.FromClient, "RETR file\r\n")
	h.d.happened(event(dataFlow, true, counted))
	h.end()
	h.wantLog(`msg="session ended" vip=ftp backend=ftp1 client=203.0.113.9:40000 user=bob tls=false end=closed`,
		"passive_download.count=1 passive_download.bytes=9000", "refused=0 failed=0\n")
	if strings.Contains(h.log.String(), "secret") {
		t.Errorf("the log has the password:\n%s", h.log)
	}
	f := h.d.Figures()
	if f.SessionsTotal != 1 || f.SessionsCurrent != 0 || f.Commands["RETR"] != 1 || f.Commands["PASS"] != 1 ||
		f.Data["opened"] != 1 || f.Awaited != 0 || f.Rewrites["PASV"] != 1 || len(f.Transfers) != 1 || f.Packets != 8 {
		t.Errorf("figures %+v", f)
	}
	if n := len(h.d.flows.sessions); n != 0 {
		t.Errorf("%d data connections are remembered", n)
	}
}

// The line comes soon after the farewell, with what conntrack says of a data connection that it still remembers.
func TestFarewell(t *testing.T) {
	h := newHost(t, twoArm)
	h.login()
	h.passive()
	h.d.happened(event(dataFlow, false, nil))
	h.tracker.fates[dataFlow] = track.Inspection{
		Closing: true, Ended: true, Fate: journal.Fate{Answered: true, Counted: true, Opener: 7000, Answerer: 1},
	}
	control := journal.Flow{Src: twoArm.Client, Dst: twoArm.VIP}
	h.tracker.fates[control] = track.Inspection{}
	h.send(ftp.FromServer, "226 done\r\n221 so long\r\n")
	h.settle()
	if strings.Contains(h.log.String(), "session ended") {
		t.Errorf("the session goes on:\n%s", h.log)
	}
	h.tracker.fates[control] = track.Inspection{Closing: true}
	h.send(ftp.FromServer, "221 Goodbye.\r\n")
	h.settle()
	h.wantLog("end=quit", "passive_upload.count=1 passive_upload.bytes=7000")
	h.end()
	h.d.happened(event(dataFlow, true, counted))
	if n := strings.Count(h.log.String(), "session ended"); n != 1 {
		t.Errorf("the session ended %d times:\n%s", n, h.log)
	}
}

// A client that hangs up, and TLS sessions, are found by looking.
func TestHangUp(t *testing.T) {
	h := newHost(t, twoArm)
	h.login()
	control := journal.Flow{Src: twoArm.Client, Dst: twoArm.VIP}
	h.tracker.fates[control] = track.Inspection{Closing: true} // one end only
	h.d.findClosed(time.Now().Add(time.Minute))
	if n := len(slices.Collect(h.d.Sessions())); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	h.tracker.fates[control] = track.Inspection{Closing: true, Ended: true}
	h.d.findClosed(time.Now())
	if n := len(slices.Collect(h.d.Sessions())); n != 1 {
		t.Errorf("%d sessions just after a packet, want 1", n)
	}
	h.d.findClosed(time.Now().Add(time.Minute))
	if n := len(slices.Collect(h.d.Sessions())); n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
	h.wantLog("end=closed")
}

func TestFailedData(t *testing.T) {
	tests := []struct {
		name string
		do   func(h *host)
		want string
	}{
		{"nothing listens", func(h *host) {
			h.d.happened(event(dataFlow, false, nil))
			h.d.happened(event(dataFlow, true, func(f *conntrack.Flow) {
				f.Status = conntrack.StatusExpected
				f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 8}
			}))
		}, "backend refused the connection to 10.2.0.11:50000: nothing listens there"},
		{"nobody came", func(h *host) {
			s := h.d.sessions.all()[0]
			s.awaits -= moment(journal.Patience)
			s.book.Overdue(time.Now().Add(journal.Patience))
		}, "client never came to 192.0.2.10:50000 within 10s"},
		{"policy", func(h *host) { h.send(ftp.FromClient, "PORT 198,51,100,7,0,22\r\n") },
			"refused by policy third_party: PORT named 198.51.100.7:22"},
		{"no fit", func(h *host) { // the reply's text is as short as it gets
			h.send(ftp.FromClient, "PASV\r\n")
			id := h.send(ftp.FromServer, "227 10,2,0,11,4,8\r\n")
			if got := h.queue.verdict(id); !strings.HasPrefix(got, "425 ") {
				h.t.Errorf("the client reads %q", got)
			}
		}, "the reply to PASV named 10.2.0.11:1032, and the VIP's address 192.0.2.10 is too long for its place"},
		{"no room", func(h *host) {
			h.tracker.fails = fmt.Errorf("creating the expectation: %w", unix.EMFILE)
			h.passive()
		}, "nf_conntrack_expect_max"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, twoArm)
			h.login()
			h.passive()
			tt.do(h)
			h.end()
			h.wantLog("failed=1", tt.want)
			if n := h.d.quota.taken(); n != 0 {
				t.Errorf("%d places are taken", n)
			}
		})
	}
}

// Where conntrack's events are not to be had, nothing is said to have never come.
func TestDeaf(t *testing.T) {
	h := newHost(t, twoArm)
	h.d.eventsLost.Store(true)
	h.login()
	h.passive()
	s := h.d.sessions.all()[0]
	s.awaits -= moment(journal.Patience)
	s.checkAwaited()
	if n := h.d.quota.taken(); n != 0 {
		t.Errorf("%d places are taken", n)
	}
	h.end()
	h.wantLog("failed=0")
}

func TestQuota(t *testing.T) {
	h := newHost(t, twoArm)
	limits := &h.d.view.Load().limits
	limits.MaxDataPerClient, limits.MaxData = 2, 3
	for _, other := range []string{"203.0.113.9", "198.51.100.1"} {
		if !h.d.quota.take(netip.MustParseAddr(other), limits) {
			t.Fatal("no place")
		}
	}
	h.login()
	h.passive() // the client's second place
	h.passive() // the same place: the kernel forgets the announcement before
	if n := h.d.quota.taken(); n != 3 {
		t.Errorf("%d places are taken, want 3", n)
	}
	h.d.happened(event(dataFlow, false, nil)) // gives it back
	h.d.quota.take(netip.MustParseAddr("198.51.100.2"), limits)
	h.send(ftp.FromClient, "PASV\r\n")
	id := h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0,11,195,81).\r\n")
	if got := h.queue.verdict(id); !strings.HasPrefix(got, "425 ") {
		t.Errorf("beyond the quota the client reads %q", got)
	}
	h.end()
	h.wantLog("refused by policy quota")
	if n := h.d.quota.taken(); n != 3 {
		t.Errorf("%d places are taken after the session's end, want the others' 3", n)
	}
	if f := h.d.Figures(); f.Expectations["quota"] != 1 || f.Refusals["quota"] != 1 {
		t.Errorf("figures %v %v", f.Expectations, f.Refusals)
	}
}

// An IPv6 client has every address of its network: all of them together have one client's places.
func TestQuotaOfNetwork(t *testing.T) {
	limits := &configs.Helper{MaxDataPerClient: 2, MaxData: 100}
	q := newQuota()
	for _, step := range []struct {
		client string
		want   bool
	}{
		{"2001:db8:1:2::1", true}, {"2001:db8:1:2:ffff::1", true}, {"2001:db8:1:2::3", false}, {"2001:db8:1:3::1", true},
		{"198.51.100.1", true}, {"198.51.100.1", true}, {"198.51.100.1", false}, {"198.51.100.2", true},
	} {
		if got := q.take(netip.MustParseAddr(step.client), limits); got != step.want {
			t.Errorf("%s gets a place: %t, want %t", step.client, got, step.want)
		}
	}
	q.give(netip.MustParseAddr("2001:db8:1:2::1"))
	if !q.take(netip.MustParseAddr("2001:db8:1:2::3"), limits) {
		t.Error("a place that was given back is not free for the network's next address")
	}
}

// Places are given back whatever happens.
func TestQuotaLeaks(t *testing.T) {
	for name, do := range map[string]func(h *host, s *session){
		"the session ends":    func(h *host, _ *session) { h.end() },
		"the helper ends":     func(h *host, _ *session) { h.d.concludeAll() },
		"timeout":             func(_ *host, s *session) { s.awaits -= moment(expectTimeout); s.checkAwaited() },
		"port busy":           func(h *host, _ *session) { h.tracker.busy[50000] = true; h.passive(); h.end() },
		"no carrier":          func(h *host, _ *session) { h.tracker.fails = track.ErrNoCarrier; h.passive(); h.end() },
		"a packet afterwards": func(h *host, s *session) { h.end(); _ = s.Open(ftp.DataConn{Port: 50001}) },
		"opened":              func(h *host, _ *session) { h.d.happened(event(dataFlow, false, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, twoArm)
			h.login()
			h.passive()
			do(h, h.d.sessions.all()[0])
			if n := h.d.quota.taken(); n != 0 || len(h.d.quota.clients) != 0 {
				t.Errorf("%d places are taken, by %v", n, h.d.quota.clients)
			}
			h.end()
		})
	}
}

// A packet that conntrack cannot be asked about is dropped: TCP sends it again.
func TestLookupFails(t *testing.T) {
	h := newHost(t, twoArm)
	h.tracker.lost = unix.ENOMEM
	for range 100 {
		id := h.send(ftp.FromServer, "220 ready\r\n")
		h.want(id, "drop")
		h.seq[ftp.FromServer] -= uint32(len("220 ready\r\n"))
	}
	if n := strings.Count(h.log.String(), "level=WARN"); n != 10 {
		t.Errorf("%d warnings, want 10", n)
	}
	h.d.limit.Flush(t.Context(), time.Now())
	h.wantLog("suppressed=90")
	h.tracker.lost = nil
	h.want(h.send(ftp.FromServer, "220 ready\r\n"), "accept")
	if f := h.d.Figures(); f.Unread["lookup"] != 100 {
		t.Errorf("figures %v", f.Unread)
	}
}

func TestOpaque(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromServer, "220 ready\r\n")
	h.send(ftp.FromClient, "AUTH TLS\r\n")
	if len(h.tracker.opaque) != 0 {
		t.Error("labelled too early")
	}
	h.send(ftp.FromServer, "234 go\r\n")
	h.send(ftp.FromClient, "\x16\x03\x01\x00\x05hello")
	if len(h.tracker.opaque) != 0 {
		t.Error("labelled before the server began TLS")
	}
	h.send(ftp.FromServer, "\x16\x03\x03\x00\x05hello")
	for range 5 {
		h.send(ftp.FromClient, "\x17\x03\x03\x00\x05hello")
	}
	h.send(ftp.FromClient, "NOOP\r\n") // after CCC
	h.send(ftp.FromServer, "200 ok\r\n")
	if got := fmt.Sprint(h.tracker.opaque); got != "[true false]" {
		t.Errorf("labelled %s", got)
	}
	h.end()
	h.wantLog("tls=true")
}

func TestOutcomes(t *testing.T) {
	for err, want := range map[error]outcome{
		nil: outCreated, ftp.ErrPortBusy: outBusy, track.ErrNoCarrier: outNoCarrier, track.ErrNoConnection: outNoConnection,
		fmt.Errorf("x: %w", unix.ENFILE): outFull, fmt.Errorf("x: %w", unix.EMFILE): outFull, errors.New("x"): outFailed,
	} {
		if got := outcomeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, outcomeNames[got], outcomeNames[want])
		}
	}
}

// TestEarlierIsTold has conntrack's events say what is remembered.
func TestEarlierIsTold(t *testing.T) {
	h := newHost(t, oneArm)
	flow := journal.Flow{Src: at("10.2.0.99:20"), Dst: at("10.2.0.1:50001")}
	client := at("203.0.113.9:40001")
	active := func(f *conntrack.Flow) { f.TupleReply = track.Tuple(client, at("192.0.2.10:317")) }
	for _, step := range []struct {
		destroyed bool
		want      []uint16
	}{{false, []uint16{317}}, {true, nil}} {
		h.d.happened(event(flow, step.destroyed, active))
		if got := h.d.earlier.Ports(client, flow.Dst, oneArm.Backend.Addr()); !slices.Equal(got, step.want) {
			t.Errorf("destroyed %v: the ports %v, want %v", step.destroyed, got, step.want)
		}
	}
}
