package track

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
)

func TestTurned(t *testing.T) {
	if got := entryOfBackwards.Turned(); got != backwards {
		t.Errorf("%+v, want %+v", got, backwards)
	}
	if got := entryOfBackwards.Turned().Turned(); got != entryOfBackwards {
		t.Errorf("turned twice it is %+v", got)
	}
}

// TestExpectReversed has the kernel take expectations of a reversed connection, and find them again.
func TestExpectReversed(t *testing.T) {
	inEmptyNamespace(t, func() error {
		tracker, err := Open(NewEarlier())
		if err != nil {
			return err
		}
		defer func() { _ = tracker.Close() }()
		k := tracker.(*kernelTracker)
		if err := enterControl(k.conn, entryOfBackwards); err != nil {
			return err
		}
		entry, err := tracker.Lookup(backwards.VIP, backwards.Client)
		if err != nil {
			return err
		}
		found := entry.Turned()
		found.ID = backwards.ID
		if found != backwards {
			t.Errorf("found %+v", found)
		}
		for _, d := range []ftp.DataConn{
			{Passive: true, Port: 50000, To: at("10.2.0.11:50000")}, {Port: 40001, To: at("203.0.113.9:40001")},
		} {
			e := expectation(backwards, d)
			if err := errors.Join(tracker.Expect(backwards, d), tracker.Expect(backwards, d)); err != nil {
				t.Errorf("%+v: %v", d, err)
			}
			if got, err := k.expecter.get(&e); err != nil || got != announcedBy(&e) {
				t.Errorf("%+v: %+v, %v; want %+v", d, got, err, announcedBy(&e))
			}
		}
		if err := tracker.SetOpaque(backwards, true); err != nil && !errors.Is(err, ErrNoLabels) {
			t.Error(err)
		}
		gone := backwards
		gone.Client = netip.AddrPortFrom(gone.Client.Addr(), 9)
		if err := tracker.End(gone); !errors.Is(err, ErrNoConnection) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("ending none: %v", err)
		}
		return nil
	})
}
