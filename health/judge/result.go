package judge

import (
	"errors"
	"time"
)

// Step is a part of a check. A result carries the one that failed.
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

// OK reports whether the target passed.
func (r Result) OK() bool { return r.Step == StepNone }

// Inconclusive reports whether the probe failed for a cause of this host alone, such as a lack of file descriptors.
// Judge ignores such a result: our own trouble must not empty a pool.
func (r Result) Inconclusive() bool { return r.Step == StepLocal }

// Fail returns a failed result.
func Fail(step Step, reason string, err error) Result {
	return Result{Step: step, Reason: reason, Err: err}
}

// Part is the result of one of a backend's addresses.
type Part struct {
	Target string // the address, and the way to it
	Result
}

// Combine makes one result of those of a backend's addresses. The backend fails if any of them does, because its
// slots would send clients of that family there; the reason then names every address that failed. It is
// inconclusive if none failed and one is. The time is that of the slowest.
func Combine(parts []Part) Result {
	if len(parts) == 0 {
		return Fail(StepLocal, "the backend has no address to probe", nil)
	}
	failed, unclear := Result{}, Result{}
	var took time.Duration
	for _, p := range parts {
		took = max(took, p.Took)
		switch {
		case p.OK():
		case p.Inconclusive():
			unclear.add(p)
		default:
			failed.add(p)
		}
	}
	all := failed
	if failed.OK() {
		all = unclear
	}
	all.Took = took
	return all
}

// add makes p the next reason of a combined result; the first one gives the step.
func (r *Result) add(p Part) {
	reason := p.Target + ": " + p.Reason
	if r.OK() {
		r.Step, r.Reason, r.Err = p.Step, reason, p.Err
		return
	}
	r.Reason += "; " + reason
	r.Err = errors.Join(r.Err, p.Err)
}

// Outcome is a Result in the form that is kept and shown.
type Outcome struct {
	OK        bool    `json:"ok"`
	Step      Step    `json:"step,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	LatencyMS float64 `json:"latency_ms"` // milliseconds
}

// NewOutcome returns the form of r that is kept.
func NewOutcome(r Result) Outcome {
	return Outcome{OK: r.OK(), Step: r.Step, Reason: r.Reason, LatencyMS: Millis(r.Took)}
}

// result is the opposite, without the cause.
func (o Outcome) result() Result {
	return Result{Step: o.Step, Reason: o.Reason, Took: time.Duration(o.LatencyMS * float64(time.Millisecond))}
}

// Millis returns d in milliseconds, to the microsecond.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
