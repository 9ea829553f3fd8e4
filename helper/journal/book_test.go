package journal

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/helper/ftp"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	start   = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	passive = ftp.DataConn{
		Command: ftp.CmdPASV, Passive: true, At: at("192.0.2.10:50000"), Port: 50000, To: at("10.2.0.11:50001"),
	}
	active = ftp.DataConn{
		Command: ftp.CmdPORT, At: at("203.0.113.9:40001"), Port: 40001, To: at("203.0.113.9:40001"),
	}
	passiveFlow = Flow{Src: at("203.0.113.9:41000"), Dst: passive.At}
	activeFlow  = Flow{Src: at("10.2.0.11:20"), Dst: active.At}
)

func newBook() *Book {
	return &Book{Ends: &ftp.Endpoints{
		Client: netip.MustParseAddrPort("203.0.113.9:40000"), Backend: netip.MustParseAddrPort("10.2.0.11:21"),
	}}
}

func later(d time.Duration) time.Time { return start.Add(d) }

func TestTransfers(t *testing.T) {
	tests := []struct {
		name    string
		conn    ftp.DataConn
		flow    Flow
		command Direction
		fate    Fate
		want    Done
	}{
		{
			name: "passive download", conn: passive, flow: passiveFlow, command: Download,
			fate: Fate{Answered: true, Counted: true, Opener: 300, Answerer: 5000},
			want: Done{Mode: Passive, Direction: Download, Bytes: 5000, Counted: true},
		},
		{
			name: "passive upload, told by the counters", conn: passive, flow: passiveFlow,
			fate: Fate{Answered: true, Counted: true, Opener: 5000, Answerer: 300},
			want: Done{Mode: Passive, Direction: Upload, Bytes: 5000, Counted: true},
		},
		{
			name: "active listing", conn: active, flow: activeFlow, command: Listing,
			fate: Fate{Answered: true, Counted: true, Opener: 5000, Answerer: 300},
			want: Done{Mode: Active, Direction: Listing, Bytes: 5000, Counted: true},
		},
		{
			name: "empty upload", conn: active, flow: activeFlow, command: Upload,
			fate: Fate{Answered: true, Counted: true, Opener: 300, Answerer: 200},
			want: Done{Mode: Active, Direction: Upload, Bytes: 200, Counted: true},
		},
		{
			name: "not counted", conn: passive, flow: passiveFlow, fate: Fate{Answered: true},
			want: Done{Mode: Passive},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook()
			b.Announce(start, tt.conn)
			if tt.command != Unknown {
				b.Command(tt.command)
			}
			if awaited, _ := b.Opened(later(time.Second), tt.flow); !awaited {
				t.Error("the announcement is not matched")
			}
			done, ok := b.Close(later(2*time.Second), tt.flow, tt.fate)
			if d := cmp.Diff(tt.want, done); !ok || d != "" {
				t.Errorf("closed %t (-want +got)\n%s", ok, d)
			}
			if _, again := b.Close(later(3*time.Second), tt.flow, tt.fate); again {
				t.Error("accounted for twice")
			}
			if sum := b.Sums()[tt.want.Mode][tt.want.Direction]; sum.Count != 1 || sum.Bytes != tt.want.Bytes {
				t.Errorf("sum %+v", sum)
			}
			if failed := b.End(later(time.Hour)); len(failed) > 0 || b.Failures() != "" {
				t.Errorf("failed: %v, %q", failed, b.Failures())
			}
		})
	}
}

func TestFailures(t *testing.T) {
	unanswered := func(b *Book, conn ftp.DataConn, f Flow, fate Fate, after time.Duration) {
		b.Announce(start, conn)
		b.Opened(start, f)
		b.Close(later(after), f, fate)
	}
	tests := []struct {
		name string
		do   func(b *Book)
		want string
	}{
		{"nobody came", func(b *Book) {
			b.Announce(start, passive)
			b.Overdue(later(Patience))
			b.Overdue(later(2 * Patience))
			b.End(later(time.Hour))
		}, "client never came to 192.0.2.10:50000 within 10s: check the client's firewall, and what filters before this host"},
		{"the backend did not come", func(b *Book) {
			b.Announce(start, active)
			b.Overdue(later(Patience))
		}, "backend never connected from 10.2.0.11 to 203.0.113.9:40001 within 10s: " +
			"check that its firewall lets active data connections out and that they are routed by this host"},
		{"the client gave up", func(b *Book) {
			b.Announce(start, passive)
			b.End(later(4 * time.Second))
		}, "client never came to 192.0.2.10:50000 within 4s: check the client's firewall, and what filters before this host"},
		{"the client tried another way", func(b *Book) {
			b.Announce(start, passive)
			b.Announce(later(5*time.Second), active)
			b.Opened(later(5*time.Second), activeFlow)
		}, "client never came to 192.0.2.10:50000 within 5s: check the client's firewall, and what filters before this host"},
		{"not used", func(b *Book) {
			b.Announce(start, passive)
			b.End(later(time.Second))
		}, ""},
		{"silent backend", func(b *Book) { unanswered(b, passive, passiveFlow, Fate{Gone: true}, 2*time.Minute) },
			"backend did not answer on 10.2.0.11:50001: check the backend's firewall and its route to the client"},
		{"silent client", func(b *Book) { unanswered(b, active, activeFlow, Fate{}, 2*time.Minute) },
			"client did not answer on 203.0.113.9:40001: check the client's firewall, or let it use passive mode"},
		{"silent so far", func(b *Book) { unanswered(b, passive, passiveFlow, Fate{}, 5*time.Second) },
			"backend did not answer on 10.2.0.11:50001: check the backend's firewall and its route to the client"},
		{"nobody listens", func(b *Book) { unanswered(b, passive, passiveFlow, Fate{Reset: true}, 2*time.Minute) },
			"backend refused the connection to 10.2.0.11:50001: nothing listens there"},
		{"nobody listens, not said so", func(b *Book) { unanswered(b, active, activeFlow, Fate{Gone: true}, time.Second) },
			"client refused the connection to 203.0.113.9:40001: nothing listens there"},
		{"policy", func(b *Book) {
			b.Fail(Failure{Cause: Refused, Command: ftp.CmdPORT, Reason: ftp.ReasonThirdParty, At: at("198.51.100.7:22")})
			b.Fail(Failure{Cause: Refused, Command: ftp.CmdEPRT, Reason: ftp.ReasonMalformed})
		}, "refused by policy third_party: PORT named 198.51.100.7:22; refused by policy malformed: EPRT"},
		{"a reply without room", func(b *Book) {
			b.Fail(Failure{
				Cause: NoFit, Command: ftp.CmdPASV, At: at("10.2.0.1:50000"), Ours: netip.MustParseAddr("203.113.100.200"),
			})
		}, "the reply to PASV named 10.2.0.1:50000, and the VIP's address 203.113.100.200 is too long for its place, " +
			"so the client got a 425: let the server reply with words, as in \"227 Entering Passive Mode\", which give way, " +
			"or let the client use EPSV"},
		{"a command without room", func(b *Book) {
			b.Fail(Failure{
				Cause: NoFit, Command: ftp.CmdEPRT, At: at("[2001:db8::9]:50000"), Ours: netip.MustParseAddr("fd00:1:2:3::1"),
			})
		}, "EPRT named [2001:db8::9]:50000, and this host's address fd00:1:2:3::1, which the server has to see instead, " +
			"is too long for its place: set snat of the pool to a shorter address, or let the client use passive mode"},
		{"many", func(b *Book) {
			for range 20 {
				b.Fail(Failure{Cause: Impossible, Command: ftp.CmdPASV, Detail: "x"})
			}
		}, "PASV could not be announced to the kernel: x; PASV could not be announced to the kernel: x; " +
			"PASV could not be announced to the kernel: x; PASV could not be announced to the kernel: x; " +
			"PASV could not be announced to the kernel: x; PASV could not be announced to the kernel: x; " +
			"PASV could not be announced to the kernel: x; PASV could not be announced to the kernel: x; and 12 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook()
			tt.do(b)
			if got := b.Failures(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// The news of an opening may come after the next announcement.
func TestLateNews(t *testing.T) {
	b := newBook()
	b.Announce(start, passive)
	next := passive
	next.At = at("192.0.2.10:50002")
	b.Announce(later(10*time.Millisecond), next)
	if awaited, _ := b.Opened(later(20*time.Millisecond), passiveFlow); awaited {
		t.Error("the latest announcement counts as used")
	}
	if !b.Waiting() {
		t.Error("the latest announcement is forgotten")
	}
	if _, ok := b.Close(later(time.Second), passiveFlow, Fate{Answered: true}); !ok || b.Failed() != 0 {
		t.Errorf("accounted for: %t; failures %q", ok, b.Failures())
	}
}

// A connection whose announcement was read by another helper.
func TestPickedUp(t *testing.T) {
	b := newBook()
	for f, mode := range map[Flow]Mode{passiveFlow: Passive, activeFlow: Active} {
		b.Opened(start, f)
		if done, ok := b.Close(later(time.Second), f, Fate{Answered: true}); !ok || done.Mode != mode {
			t.Errorf("%v: %+v, want %s", f, done, mode)
		}
	}
}

// A session cannot make us remember without bounds.
func TestBounds(t *testing.T) {
	b := newBook()
	for i := range 3 * maxOpen {
		c := passive
		c.At = netip.AddrPortFrom(passive.At.Addr(), uint16(10000+i))
		b.Announce(later(time.Duration(i)*time.Millisecond), c)
		if i%3 == 0 {
			continue
		}
		_, gone := b.Opened(later(time.Duration(i)*time.Millisecond), Flow{Src: passiveFlow.Src, Dst: c.At})
		if (gone != nil) != (b.opened() == maxOpen && i > 3*maxOpen/2) {
			t.Fatalf("%d: made room: %v, %d open", i, gone, b.opened())
		}
	}
	if n := len(b.data); n > maxOpen+maxUnopened {
		t.Errorf("%d data connections are remembered", n)
	}
	if n := b.Sums()[Passive][Unknown]; n.Count != maxOpen || n.Uncounted != maxOpen {
		t.Errorf("made room for %+v, want %d", n, maxOpen)
	}
}

// The same announcement twice is one: a restarted helper reads retransmissions.
func TestRetransmission(t *testing.T) {
	b := newBook()
	b.Announce(start, passive)
	b.Announce(later(time.Second), passive)
	if n := len(b.data); n != 1 {
		t.Errorf("%d announcements", n)
	}
}
