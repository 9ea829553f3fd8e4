package health

import (
	"context"
	"net"
	"time"
)

// TCP is the probe of the check "tcp": the target accepts a connection.
func TCP(ctx context.Context, t Target) Result {
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
	return Result{Took: took}
}

// dial connects to t.Addr, from t.Source where that is set, until ctx ends. The deadline of ctx
// becomes the connection's.
func dial(ctx context.Context, t Target) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if t.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: t.Source.AsSlice(), Zone: t.Source.Zone()}
	}
	network := "tcp6"
	if t.Addr.Addr().Is4() {
		network = "tcp4"
	}
	conn, err := d.DialContext(ctx, network, t.Addr.String())
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
