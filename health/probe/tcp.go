package probe

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/health/judge"
)

// TCP is the probe of the check "tcp": the target accepts a connection.
func TCP(ctx context.Context, t Target) judge.Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()

	start := time.Now()
	conn, err := dial(ctx, t)
	took := time.Since(start)
	if err != nil {
		r := explainDial(t, err)
		r.Took = took
		return r
	}
	_ = conn.Close()
	return judge.Result{Took: took}
}

// dial connects to the target until ctx ends. The deadline of ctx becomes the connection's.
func dial(ctx context.Context, t Target) (net.Conn, error) {
	conn, err := dialFrom(ctx, t.Source, t.dialed(), t.Tag)
	if err != nil || !t.Via.IsValid() {
		return conn, err
	}
	if err := arrived(conn, t); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialFrom connects from an address, where that is valid, with a socket that carries a tag, where that is not 0.
func dialFrom(ctx context.Context, from netip.Addr, to netip.AddrPort, tag uint32) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	}
	if tag != 0 {
		d.Control = tagSocket(tag)
	}
	network := "tcp6"
	if to.Addr().Is4() {
		network = "tcp4"
	}
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// tagSocket gives a socket a priority (SO_PRIORITY), which rules read as `meta priority`. It needs CAP_NET_ADMIN or
// CAP_NET_RAW. Unlike a mark it takes part in no routing decision.
func tagSocket(tag uint32) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt SO_PRIORITY", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, int(tag)))
		}); e != nil {
			return e
		}
		return err
	}
}
