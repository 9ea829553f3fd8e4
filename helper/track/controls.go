package track

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/rules/nfnl"
)

// dumpLen is as much as the kernel puts into one message of a dump (net/netlink/af_netlink.c, netlink_dump).
const dumpLen = 1 << 15

// ListControls calls yield for every connection in conntrack's table that carries a helper. It keeps none of them.
func ListControls(ctx context.Context, yield func(Connection)) (err error) {
	socket, err := nfnl.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	if err := socket.Timeout(time.Second); err != nil { // a precaution: the kernel has the next part ready
		return err
	}
	const seq = 1
	var request [64]byte
	if err := socket.Send(appendControlDump(request[:0], seq), nil); err != nil {
		return fmt.Errorf("asking for conntrack's connections: %w", err)
	}
	in := make([]byte, dumpLen)
	for ctx.Err() == nil {
		n, err := socket.Receive(in)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("listing conntrack's connections: %w", os.NewSyscallError("read", err))
		}
		for m, rest, ok := nfnl.Next(in[:n]); ok; m, rest, ok = nfnl.Next(rest) {
			switch {
			case m.Seq != seq:
			case m.Type == unix.NLMSG_DONE:
				return nil
			case m.Type == unix.NLMSG_ERROR:
				return fmt.Errorf("listing conntrack's connections: %w", m.Err())
			default:
				if c, ok := readControl(m.Attrs); ok {
					yield(c)
				}
			}
		}
	}
	return ctx.Err()
}
