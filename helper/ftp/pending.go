package ftp

import "slices"

// await is what a command's reply means to us.
type await uint8

const (
	awaitOther   await = iota
	awaitPASV          // 227, or 229
	awaitEPSV          // 229, or 227
	awaitEPSVAll       // the answer to EPSV ALL
	awaitAUTH          // 234 makes the session opaque
	awaitNoTLS         // the error that answers a refused AUTH
)

// maxPending bounds the commands without a final reply.
const maxPending = 32

// pending is the queue of commands whose final reply is due. Replies come in
// the order of the commands (RFC 959, section 5.4), but servers differ in how
// many they send for ABOR or an empty line; so a reply never completes a
// command that it cannot belong to, and a 227 looks for its PASV or EPSV.
type pending struct {
	q [maxPending]await
	n uint8
}

// push adds a command. When there are too many, the oldest uninteresting one is forgotten.
func (p *pending) push(a await) {
	if p.n == maxPending {
		i := 0
		for i < int(p.n)-1 && p.q[i] != awaitOther {
			i++
		}
		p.remove(i)
	}
	p.q[p.n] = a
	p.n++
}

func (p *pending) remove(i int) {
	copy(p.q[i:p.n-1], p.q[i+1:p.n])
	p.n--
}

// has reports whether a is due.
func (p *pending) has(a await) bool {
	return slices.Contains(p.q[:p.n], a)
}

// take completes the first a and everything before it.
func (p *pending) take(a await) bool {
	for i, q := range p.q[:p.n] {
		if q == a {
			p.n = uint8(copy(p.q[:], p.q[i+1:p.n])) //nolint:gosec // maxPending at most
			return true
		}
	}
	return false
}

// answered completes a PASV or EPSV by a 227 or 229: the one of its own kind, or else the other. There are servers that answer
// either way (see TestDialects).
func (p *pending) answered(code int) bool {
	first, second := awaitPASV, awaitEPSV
	if code == 229 {
		first, second = second, first
	}
	return p.take(first) || p.take(second)
}

// complete takes a final reply that is neither 227 nor 229, and returns what it answered.
func (p *pending) complete(code int) (await, bool) {
	if p.n == 0 {
		return 0, false
	}
	a := p.q[0]
	if (a == awaitPASV || a == awaitEPSV) && code < 400 {
		return 0, false // cannot be the answer: some reply that no command is known of
	}
	p.remove(0)
	return a, true
}
