package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"ftpvip/health/judge"
)

// explainDial turns the error of a connection attempt into words, and where it can, into the next thing to try.
func explainDial(t Target, err error) judge.Result {
	if known, ok := errors.AsType[*trouble](err); ok {
		return known.Result
	}
	addr, port := t.Addr.Addr(), t.Addr.Port()
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return judge.Fail(judge.StepLocal, "this host has no file descriptor left for the probe; raise LimitNOFILE of the unit", err)
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return judge.Fail(judge.StepLocal, "this host has no memory left for the probe", err)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return judge.Fail(judge.StepLocal, "this host cannot speak the address's family; see `sysctl net.ipv6.conf.all.disable_ipv6`", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && t.Source.IsValid():
		return judge.Fail(judge.StepLocal, fmt.Sprintf("the source %s is not an address of this host; see `ip addr`", t.Source), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return judge.Fail(judge.StepLocal, fmt.Sprintf("this host has no address or no free port to reach %s from; see `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EPERM):
		return judge.Fail(judge.StepLocal, "this host does not permit the probe's connection; see IPAddressDeny and BPF filters of the unit", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return judge.Fail(judge.StepConnect, fmt.Sprintf("connection refused: nothing listens on port %d, or a firewall rejects it", port), err)
	case errors.Is(err, syscall.ENETUNREACH):
		return judge.Fail(judge.StepConnect, fmt.Sprintf("network is unreachable: this host has no route to %s; see `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EHOSTUNREACH):
		return judge.Fail(judge.StepConnect, fmt.Sprintf("host is unreachable: it is down, or a router or firewall turns us away; see `ip neigh show %s` and `ip route get %s`", addr, addr), err)
	case errors.Is(err, syscall.EACCES):
		return judge.Fail(judge.StepConnect, fmt.Sprintf("administratively prohibited by a route or a router; see `ip route get %s`", addr), err)
	case errors.Is(err, syscall.ECONNRESET):
		return judge.Fail(judge.StepConnect, "the server reset the connection at once", err)
	case isTimeout(err):
		return judge.Fail(judge.StepConnect, fmt.Sprintf("no answer within %v: the host is down, or a firewall drops the packets", t.Timeout), err)
	default:
		return judge.Fail(judge.StepConnect, err.Error(), err)
	}
}

// explainRead turns the error of reading the greeting into words.
func explainRead(t Target, err error) judge.Result {
	var broken *brokenReply
	if !errors.As(err, &broken) {
		return judge.Fail(judge.StepBanner, err.Error(), err)
	}
	switch {
	case isTimeout(err) && !broken.any && t.Addr.Port() == 990:
		return judge.Fail(judge.StepBanner, fmt.Sprintf("connected, but no greeting within %v; port 990 usually expects TLS first (use check: tcp)", t.Timeout), err)
	case isTimeout(err) && !broken.any:
		return judge.Fail(judge.StepBanner, fmt.Sprintf("connected, but no greeting within %v", t.Timeout), err)
	case isTimeout(err):
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the greeting was not complete within %v; its last line is %s", t.Timeout, Quote(broken.got)), err)
	case errors.Is(err, errNotReply):
		return judge.Fail(judge.StepBanner, fmt.Sprintf("this is no FTP server: it greets with %s", Quote(broken.got)), err)
	case errors.Is(err, errLineTooLong), errors.Is(err, errReplyTooLong):
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the greeting is endless: %v", broken.err), err)
	case errors.Is(err, io.EOF):
		return judge.Fail(judge.StepBanner, "the server closed the connection without a greeting", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the server closed the connection within its greeting; the last line is %s", Quote(broken.got)), err)
	case errors.Is(err, syscall.ECONNRESET):
		return judge.Fail(judge.StepBanner, "the server reset the connection without a full greeting", err)
	default:
		return judge.Fail(judge.StepBanner, broken.err.Error(), err)
	}
}

// isTimeout reports whether time ran out, ours or the kernel's.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
