package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// explainDial turns the error of a connection attempt into words, and where it can, into the next thing to try.
func explainDial(t Target, err error) Result {
	if known, ok := errors.AsType[*trouble](err); ok {
		return known.Result
	}
	addr, port := t.Addr.Addr(), t.Addr.Port()
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fail(StepLocal, "this host has no file descriptor left for the probe; raise LimitNOFILE of the unit", err)
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return fail(StepLocal, "this host has no memory left for the probe", err)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return fail(StepLocal, "this host cannot speak the address's family; see `sysctl net.ipv6.conf.all.disable_ipv6`", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && t.Source.IsValid():
		return fail(StepLocal, fmt.Sprintf("the source %s is not an address of this host; see `ip addr`", t.Source), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(StepLocal, fmt.Sprintf("this host has no address or no free port to reach %s from; see `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EPERM):
		return fail(StepLocal, "this host does not permit the probe's connection; see IPAddressDeny and BPF filters of the unit", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(StepConnect, fmt.Sprintf("connection refused: nothing listens on port %d, or a firewall rejects it", port), err)
	case errors.Is(err, syscall.ENETUNREACH):
		return fail(StepConnect, fmt.Sprintf("network is unreachable: this host has no route to %s; see `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EHOSTUNREACH):
		return fail(StepConnect, fmt.Sprintf("host is unreachable: it is down, or a router or firewall turns us away; see `ip neigh show %s` and `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EACCES):
		return fail(StepConnect, fmt.Sprintf("administratively prohibited by a route or a router; see `ip route get %s`", addr), err)
	case errors.Is(err, syscall.ECONNRESET):
		return fail(StepConnect, "the server reset the connection at once", err)
	case isTimeout(err):
		return fail(StepConnect, fmt.Sprintf("no answer within %v: the host is down, or a firewall drops the packets", t.Timeout), err)
	default:
		return fail(StepConnect, err.Error(), err)
	}
}

// explainRead turns the error of reading the greeting into words.
func explainRead(t Target, err error) Result {
	var broken *brokenReply
	if !errors.As(err, &broken) {
		return fail(StepBanner, err.Error(), err)
	}
	switch {
	case isTimeout(err) && !broken.any && t.Addr.Port() == 990:
		return fail(StepBanner, fmt.Sprintf("connected, but no greeting within %v; port 990 usually expects TLS first (use check: tcp)", t.Timeout), err)
	case isTimeout(err) && !broken.any:
		return fail(StepBanner, fmt.Sprintf("connected, but no greeting within %v", t.Timeout), err)
	case isTimeout(err):
		return fail(StepBanner, fmt.Sprintf("the greeting was not complete within %v; its last line is %s", t.Timeout, quote(broken.got)), err)
	case errors.Is(err, errNotReply):
		return fail(StepBanner, fmt.Sprintf("this is no FTP server: it greets with %s", quote(broken.got)), err)
	case errors.Is(err, errLineTooLong), errors.Is(err, errReplyTooLong):
		return fail(StepBanner, fmt.Sprintf("the greeting is endless: %v", broken.err), err)
	case errors.Is(err, io.EOF):
		return fail(StepBanner, "the server closed the connection without a greeting", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fail(StepBanner, fmt.Sprintf("the server closed the connection within its greeting; the last line is %s", quote(broken.got)), err)
	case errors.Is(err, syscall.ECONNRESET):
		return fail(StepBanner, "the server reset the connection without a full greeting", err)
	default:
		return fail(StepBanner, broken.err.Error(), err)
	}
}

// isTimeout tells whether time ran out, ours or the kernel's.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
