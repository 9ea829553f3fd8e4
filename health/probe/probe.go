package probe

import (
	"context"
	"net/netip"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// Target is what one probe looks at. It is comparable: within a round, equal targets are probed once.
type Target struct {
	Addr    netip.AddrPort // of the backend
	Via     netip.AddrPort // the VIP to connect to, which has to lead to Addr; invalid: Addr itself
	Tag     uint32         // of the socket, with Via: by it the rules know the backend
	Source  netip.Addr     // local address to connect from; invalid: the kernel chooses
	Timeout time.Duration  // for the whole probe
	Spec    *Spec          // for checks that need to know more; nil for tcp and ftp-banner
}

// dialed is the address that is connected to.
func (t Target) dialed() netip.AddrPort {
	if t.Via.IsValid() {
		return t.Via
	}
	return t.Addr
}

// String is the address, and the way to it where that is not straight.
func (t Target) String() string {
	if t.Via.IsValid() {
		return t.Addr.String() + " through " + t.Via.String()
	}
	return t.Addr.String()
}

// Func looks at a target once. It returns within t.Timeout, or when ctx ends, whichever comes first, and
// leaves nothing behind: no goroutine, no open connection, no process.
type Func func(ctx context.Context, t Target) judge.Result

// Set says how each check is done. A check that is absent is not available.
type Set map[configs.Check]Func

// Builtin returns the checks that are built in. configs.CheckNone is not among them: a round treats
// its backends as up without looking.
func Builtin() Set {
	return Set{
		configs.CheckTCP:         sparingBackend(TCP, TCP),
		configs.CheckFTPBanner:   sparingBackend(FTPBanner, FTPBanner),
		configs.CheckFTPLogin:    sparingBackend(FTPLogin, FTPLogin),
		configs.CheckFTPTransfer: sparingBackend(FTPTransfer, FTPLogin),
		configs.CheckExec:        Exec,
	}
}

// trouble is a failed result as an error, for functions of a probe that return other values.
type trouble struct{ judge.Result }

// Error implements error.
func (t *trouble) Error() string { return string(t.Step) + ": " + t.Reason }

// Unwrap returns the cause.
func (t *trouble) Unwrap() error { return t.Err }

func failed(step judge.Step, reason string, err error) error {
	return &trouble{judge.Fail(step, reason, err)}
}
