package track

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
	"ftpvip/rules"
)

// crowd is a conntrack with many control connections, each with an expectation of its own.
type crowd struct {
	tracker *kernelTracker
	conns   []Connection
}

// crowdPort is the VIP's port that the data connection of number n is announced at.
func crowdPort(n int) uint16 { return uint16(20000 + n) }

func crowdData(n int) ftp.DataConn {
	p := crowdPort(n)
	return ftp.DataConn{Passive: true, Port: p, At: netip.AddrPortFrom(twoArm.VIP.Addr(), p), To: netip.AddrPortFrom(twoArm.Backend.Addr(), p)}
}

// enterControl makes conntrack know a control connection that expectations can hang on.
func enterControl(conn *conntrack.Conn, c Connection) error {
	f := conntrack.NewFlow(unix.IPPROTO_TCP, confirmed, c.Client.Addr(), c.VIP.Addr(), c.Client.Port(), c.VIP.Port(), 600, 0)
	f.TupleReply = Tuple(c.Backend, c.Seen)
	f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: tcpEstablished}
	f.Helper = conntrack.Helper{Name: rules.SaneHelperName + "\x00"}
	if err := conn.Create(f); err != nil {
		return fmt.Errorf("entering the connection %s to %s: %w", c.Client, c.VIP, err)
	}
	return nil
}

// newCrowd is called in a namespace of its own. All clients have one address, as behind another's NAT.
func newCrowd(n int) (*crowd, error) {
	tracker, err := Open(NewEarlier())
	if err != nil {
		return nil, err
	}
	c := &crowd{tracker: tracker.(*kernelTracker)}
	for i := range n {
		conn := twoArm
		conn.Client = netip.AddrPortFrom(conn.Client.Addr(), uint16(10000+i))
		conn.Seen = conn.Client
		if err := enterControl(c.tracker.conn, conn); err != nil {
			return c, err
		}
		if err := tracker.Expect(conn, crowdData(i)); err != nil {
			return c, fmt.Errorf("expectation %d: %w", i, err)
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

func (c *crowd) close() {
	if c != nil {
		_ = c.tracker.Close()
	}
}

// inCrowd runs f among n control connections.
func inCrowd(t testing.TB, n int, f func(*crowd) error) {
	t.Helper()
	inEmptyNamespace(t, func() error {
		c, err := newCrowd(n)
		defer c.close()
		if err != nil {
			return err
		}
		return f(c)
	})
}

// TestWhose announces again what is announced already: an expectation is the session's own only if it has its master and
// leads to the same place.
func TestWhose(t *testing.T) {
	inCrowd(t, 40, func(c *crowd) error {
		elsewhere := crowdData(7)
		elsewhere.To = at("10.2.0.11:50001")
		for _, tt := range []struct {
			name string
			conn Connection
			data ftp.DataConn
			want error
		}{
			{"announced again", c.conns[7], crowdData(7), nil},
			{"the last one announced again", c.conns[39], crowdData(39), nil},
			{"another session's behind the same address", c.conns[8], crowdData(7), ftp.ErrPortBusy},
			{"to another port of the backend", c.conns[7], elsewhere, ftp.ErrPortBusy},
		} {
			if err := c.tracker.Expect(tt.conn, tt.data); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		e := expectation(c.conns[7], crowdData(7))
		if got, err := c.tracker.expecter.get(&e); err != nil || got != announcedBy(&e) {
			t.Errorf("got %+v, %v; want %+v", got, err, announcedBy(&e))
		}
		none := expectation(c.conns[7], crowdData(41))
		if _, err := c.tracker.expecter.get(&none); !errors.Is(err, unix.ENOENT) {
			t.Errorf("one that nobody announced: %v, want ENOENT", err)
		}
		if n := testing.AllocsPerRun(20, func() { _ = c.tracker.whose(&e) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		return nil
	})
}

// TestWhoseActive has an expectation without translation, to a third host, and one with it.
func TestWhoseActive(t *testing.T) {
	inCrowd(t, 2, func(c *crowd) error {
		for _, to := range []string{"203.0.113.9:40001", "198.51.100.7:40001"} {
			d := ftp.DataConn{Port: 40001, To: at(to)}
			e := expectation(c.conns[0], d)
			if err := c.tracker.Expect(c.conns[0], d); err != nil {
				return err
			}
			if err := c.tracker.whose(&e); err != nil {
				t.Errorf("to %s: %v, want our own", to, err)
			}
			other := expectation(c.conns[1], d)
			if err := c.tracker.whose(&other); !errors.Is(err, ftp.ErrPortBusy) {
				t.Errorf("to %s, another session: %v", to, err)
			}
		}
		return nil
	})
}

// BenchmarkAnnounceAgain is what a line costs that a client repeats.
func BenchmarkAnnounceAgain(b *testing.B) {
	for _, n := range []int{1, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			inCrowd(b, n, func(c *crowd) error {
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					if err := c.tracker.Expect(c.conns[n/2], crowdData(n/2)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

// BenchmarkKeepApart is the same for active mode in one-arm, where the port has to be kept apart from earlier connections.
func BenchmarkKeepApart(b *testing.B) {
	inCrowd(b, 4000, func(c *crowd) error {
		conn := oneArm
		if err := enterControl(c.tracker.conn, conn); err != nil {
			return err
		}
		d := ftp.DataConn{Port: 50001, To: at("203.0.113.9:40001")}
		b.ReportAllocs()
		for b.Loop() {
			if err := c.tracker.Expect(conn, d); err != nil {
				return err
			}
		}
		return nil
	})
}
