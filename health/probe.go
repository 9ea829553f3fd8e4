package health

import (
	"context"
	"net/netip"
	"time"

	"ftpvip/configs"
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

// Probe looks at a target once. It returns within t.Timeout, or when ctx ends, whichever comes first, and
// leaves nothing behind: no goroutine, no open connection, no process.
type Probe func(ctx context.Context, t Target) Result

// Probes says how each check is done. A check that is absent is not available.
type Probes map[configs.Check]Probe

// DefaultProbes returns the checks that are built in. configs.CheckNone is not among them: a round treats
// its backends as up without looking.
func DefaultProbes() Probes {
	return Probes{
		configs.CheckTCP:         sparingBackend(TCP, TCP),
		configs.CheckFTPBanner:   sparingBackend(FTPBanner, FTPBanner),
		configs.CheckFTPLogin:    sparingBackend(FTPLogin, FTPLogin),
		configs.CheckFTPTransfer: sparingBackend(FTPTransfer, FTPLogin),
		configs.CheckExec:        Exec,
	}
}

// Step is a part of a probe. A result carries the one that failed.
type Step string

// The steps, in the order in which a probe takes them.
const (
	StepNone     Step = ""         // nothing failed
	StepLocal    Step = "local"    // this host could not even try; that says nothing about the backend
	StepConnect  Step = "connect"  // the TCP connection
	StepBanner   Step = "banner"   // the greeting: RFC 959 section 5.4, "Connection Establishment"
	StepTLS      Step = "tls"      // handshake and certificate, on control and data connections
	StepLogin    Step = "login"    // USER and PASS
	StepSession  Step = "session"  // TYPE, PWD and what else a client says before its first transfer
	StepData     Step = "data"     // opening a data connection
	StepTransfer Step = "transfer" // a listing or file over it
	StepContent  Step = "content"  // the file is not the one that was expected
	StepStore    Step = "store"    // storing a file, reading it back, deleting it
	StepExec     Step = "exec"     // the admin's own program
)

// Result is what a probe found.
type Result struct {
	Step   Step          // StepNone: everything answered as it should
	Reason string        // why Step failed, in an admin's words, one line; text from a backend is quoted in it
	Err    error         // the cause behind Reason, where there is one
	Took   time.Duration // until the result was known; saying good-bye is not part of it
}

// OK tells whether the target passed.
func (r Result) OK() bool { return r.Step == StepNone }

// Inconclusive tells whether the probe failed for a cause of this host alone, such as a lack of file descriptors.
// Judge ignores such a result: our own trouble must not empty a pool.
func (r Result) Inconclusive() bool { return r.Step == StepLocal }

// fail returns a failed result.
func fail(step Step, reason string, err error) Result {
	return Result{Step: step, Reason: reason, Err: err}
}

// trouble is a failed result as an error, for the parts of a probe that have other things to return.
type trouble struct{ Result }

// Error implements error.
func (t *trouble) Error() string { return string(t.Step) + ": " + t.Reason }

// Unwrap returns the cause.
func (t *trouble) Unwrap() error { return t.Err }

func failed(step Step, reason string, err error) error { return &trouble{fail(step, reason, err)} }
