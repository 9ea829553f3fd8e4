package track

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

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
	f.TupleReply = Tuple(c.Backend, c.Seen)
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
		want = []Connection{oneArm, twoArm6, plain.Turned()}
		for _, c := range want {
			if err := enter(conn, c, confirmed|conntrack.StatusHelper, false); err != nil {
				return err
			}
		}
		if err := enter(conn, other, confirmed, false); err != nil {
			return err
		}
		if err := ListControls(context.Background(), func(c Connection) { got = append(got, c) }); err != nil {
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
		return ListControls(context.Background(), func(c Connection) { many = append(many, c.Client) })
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
		tracker, err := Open(NewEarlier())
		if err != nil {
			return err
		}
		defer func() { _ = tracker.Close() }()
		conn := tracker.(*kernelTracker).conn
		if err := errors.Join(enter(conn, twoArm, confirmed|conntrack.StatusHelper, false), enter(conn, picked, confirmed, true)); err != nil {
			return err
		}
		for _, want := range []Entry{{Connection: twoArm, Carrier: true}, {Connection: picked, Midstream: true}} {
			for _, p := range [][2]netip.AddrPort{{want.Seen, want.Backend}, {want.VIP, want.Client}} {
				got, err := tracker.Lookup(p[0], p[1])
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
