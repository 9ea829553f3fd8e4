package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
	"ftpvip/rules"
)

func TestStartOf(t *testing.T) {
	tests := []struct {
		name     string
		entry    Entry
		unlisted bool
		want     ftp.Start
	}{
		{name: "seen from its SYN on", entry: Entry{Connection: twoArm, Carrier: true}, want: ftp.Fresh},
		{name: "existed before", entry: Entry{Connection: oneArm, Carrier: true}, want: ftp.Midway},
		{name: "may have existed before", entry: Entry{Connection: twoArm, Carrier: true}, unlisted: true, want: ftp.Midway},
		{name: "picked up by conntrack", entry: Entry{Connection: twoArm, Carrier: true, Midstream: true}, want: ftp.Midway},
		{name: "older than the rules", entry: Entry{Connection: twoArm}, want: ftp.Midway},
		{name: "in TLS", entry: Entry{Connection: oneArm, Carrier: true, Opaque: true}, want: ftp.Encrypted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := New(testConfig(t), slog.New(slog.DiscardHandler), Options{})
			d.elders.add(oneArm.ID)
			if !tt.unlisted {
				d.elders.complete(1)
			}
			if got := d.startOf(&tt.entry); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestReloadLists: packets of a VIP that the helper did not know have passed unread.
func TestReloadLists(t *testing.T) {
	h := newHost(t, twoArm)
	h.d.Reload(testConfig(t))
	if n := h.d.elders.expected(); n != 0 {
		t.Errorf("%d lists are due for the same VIPs", n)
	}
	cfg := testConfig(t)
	cfg.VIPs[0].Port = 2121
	h.d.Reload(cfg)
	if n := h.d.elders.expected(); n != 1 {
		t.Errorf("%d lists are due for a new VIP, want 1", n)
	}
	if len(h.d.elders.due) != 1 {
		t.Error("nobody is told to make it")
	}
}

// inEmptyNamespace runs f where conntrack knows nothing.
func inEmptyNamespace(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and no unlocking: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	err := <-done
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs root to make a network namespace: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// enter makes conntrack know a connection.
func enter(conn *conntrack.Conn, c Connection, status conntrack.Status, liberal bool) error {
	f := conntrack.NewFlow(unix.IPPROTO_TCP, status, c.Client.Addr(), c.VIP.Addr(), c.Client.Port(), c.VIP.Port(), 100, 0)
	f.TupleReply = tuple(c.Backend, c.Seen)
	tcp := &conntrack.ProtoInfoTCP{State: tcpEstablished}
	if liberal {
		tcp.OriginalFlags, tcp.ReplyFlags = beLiberal<<8|beLiberal, beLiberal<<8|beLiberal
	}
	f.ProtoInfo.TCP = tcp
	if err := conn.Create(f); err != nil {
		return fmt.Errorf("entering the connection %s to %s: %w", c.Client, c.VIP, err)
	}
	return nil
}

const confirmed = conntrack.StatusConfirmed | conntrack.StatusAssured | conntrack.StatusSeenReply

// TestListControls lists the kernel's own entries, of which some are control connections.
func TestListControls(t *testing.T) {
	plain, other := twoArm, twoArm
	plain.Client, plain.Seen = at("203.0.113.9:40008"), at("203.0.113.9:40008")
	other.Client, other.Seen = at("203.0.113.9:40009"), at("203.0.113.9:40009")
	var got, want []Connection
	var many []netip.AddrPort
	inEmptyNamespace(t, func() error {
		conn, err := conntrack.Dial(nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		want = []Connection{oneArm, twoArm6, plain.turned()}
		for _, c := range want {
			if err := enter(conn, c, confirmed|conntrack.StatusHelper, false); err != nil {
				return err
			}
		}
		if err := enter(conn, other, confirmed, false); err != nil {
			return err
		}
		if err := listControls(context.Background(), func(c Connection) { got = append(got, c) }); err != nil {
			return err
		}
		for i := range 3000 { // many times as much as one message takes
			c := twoArm
			c.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 40000)
			c.Seen = c.Client
			if err := enter(conn, c, confirmed|conntrack.StatusHelper, false); err != nil {
				return err
			}
		}
		return listControls(context.Background(), func(c Connection) { many = append(many, c.Client) })
	})
	ignoreID := cmpopts.IgnoreFields(Connection{}, "ID", "Reversed")
	order := cmpopts.SortSlices(func(a, b Connection) bool { return a.Client.Compare(b.Client) < 0 })
	if d := cmp.Diff(want, got, ignoreID, order, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("control connections differ (-want +got)\n%s", d)
	}
	for i, c := range got {
		if c.ID == 0 {
			t.Errorf("connection %d has no id", i)
		}
	}
	slices.SortFunc(many, netip.AddrPort.Compare)
	if n := len(slices.Compact(many)); n != 3003 {
		t.Errorf("%d connections, want 3003", n)
	}
}

// TestLookupFacts reads what the kernel says of a connection's past.
func TestLookupFacts(t *testing.T) {
	picked := twoArm
	picked.Client, picked.Seen = at("203.0.113.9:40001"), at("203.0.113.9:40001")
	inEmptyNamespace(t, func() error {
		tracker, err := OpenTracker()
		if err != nil {
			return err
		}
		defer func() { _ = tracker.Close() }()
		conn := tracker.(*kernelTracker).conn
		if err := errors.Join(enter(conn, twoArm, confirmed|conntrack.StatusHelper, false), enter(conn, picked, confirmed, true)); err != nil {
			return err
		}
		for _, want := range []Entry{{Connection: twoArm, Carrier: true}, {Connection: picked, Midstream: true}} {
			for _, p := range want.paths() {
				got, err := tracker.Lookup(p.src, p.dst)
				if err != nil {
					return err
				}
				got.ID = want.ID
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
		}
		return nil
	})
}

func TestHasOpaqueLabel(t *testing.T) {
	labels, _ := labelBit(rules.OpaqueLabel, true)
	if !hasOpaqueLabel(labels) {
		t.Error("the label that is set is not found")
	}
	none, _ := labelBit(rules.OpaqueLabel, false)
	if hasOpaqueLabel(none) || hasOpaqueLabel(nil) || hasOpaqueLabel(labels[:12]) {
		t.Error("a label is found where there is none")
	}
}
