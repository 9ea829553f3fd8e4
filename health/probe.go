package health

import (
	"context"
	"net/netip"
	"time"

	"ftpvip/configs"
)

// Target is what one probe looks at. It is comparable: within a round, equal targets are probed once.
type Target struct {
	Addr    netip.AddrPort
	Source  netip.Addr    // local address to connect from; invalid: the kernel chooses
	Timeout time.Duration // for the whole probe
}

// Probe looks at a target once. It returns within t.Timeout, or when ctx ends, whichever comes first, and
// leaves nothing behind: no goroutine, no open connection.
type Probe func(ctx context.Context, t Target) Result

// Probes says how each check is done. A check that is absent is not available.
type Probes map[configs.Check]Probe

// DefaultProbes returns the checks that are built in. configs.CheckNone is not among them: a round treats
// its backends as up without looking.
func DefaultProbes() Probes {
	return Probes{
		configs.CheckTCP:       TCP,
		configs.CheckFTPBanner: FTPBanner,
	}
}

// Step is a part of a probe. A result carries the one that failed.
type Step string

// The steps, in the order in which a probe takes them.
const (
	StepNone    Step = ""        // nothing failed
	StepLocal   Step = "local"   // this host could not even try; that says nothing about the backend
	StepConnect Step = "connect" // the TCP connection
	StepBanner  Step = "banner"  // the greeting: RFC 959 section 5.4, "Connection Establishment"
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
