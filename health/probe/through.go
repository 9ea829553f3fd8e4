package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/health/judge"
)

// arrived makes sure that a connection to a VIP has come to the very backend that it was for: conntrack knows where its
// replies come from. Anything else is no verdict on the backend.
func arrived(conn net.Conn, t Target) error {
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return failed(judge.StepLocal, fmt.Sprintf("the socket's own address: %v", err), err)
	}
	ct, err := conntrack.Dial(nil)
	if err != nil {
		return failed(judge.StepLocal, fmt.Sprintf("conntrack cannot be asked where the check went: %v", err), err)
	}
	defer func() { _ = ct.Close() }()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	flow, err := ct.Get(conntrack.Flow{TupleOrig: conntrack.Tuple{
		IP:    conntrack.IPTuple{SourceAddress: local.Addr(), DestinationAddress: t.Via.Addr()},
		Proto: conntrack.ProtoTuple{Protocol: unix.IPPROTO_TCP, SourcePort: local.Port(), DestinationPort: t.Via.Port()},
	}})
	if err != nil {
		return failed(judge.StepLocal, fmt.Sprintf("conntrack does not know the check's connection to %s: %v", t.Via, err), err)
	}
	got := netip.AddrPortFrom(flow.TupleReply.IP.SourceAddress, flow.TupleReply.Proto.SourcePort)
	if got != t.Addr {
		return failed(judge.StepLocal, fmt.Sprintf("the check through %s came to %s: the rules in the kernel do not lead it; run ftpvip apply", t.Via, got), nil)
	}
	return nil
}

// sparingBackend makes a probe that goes through a VIP tell this host's trouble from the backend's: where it gets no
// greeting, and one that goes straight does at the same time, the result is no verdict on the backend. Else a helper that
// is down would empty the pool.
func sparingBackend(probe, straight Func) Func {
	return func(ctx context.Context, t Target) judge.Result {
		if !t.Via.IsValid() {
			return probe(ctx, t)
		}
		ctx, cancel := context.WithCancel(ctx)
		other := make(chan judge.Result, 1)
		go func() {
			t := t
			t.Via, t.Tag = netip.AddrPort{}, 0
			other <- straight(ctx, t)
		}()
		r := probe(ctx, t)
		if r.Step != judge.StepConnect && r.Step != judge.StepBanner {
			cancel() // nobody wants to know any more
		}
		o := <-other
		cancel()
		if (r.Step == judge.StepConnect || r.Step == judge.StepBanner) && o.OK() {
			r.Step = judge.StepLocal
			r.Reason += "; but straight to the server all is well: it is this host's rules or helper; see ftpvip status"
		}
		return r
	}
}
