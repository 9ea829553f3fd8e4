package track

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ftpvip/helper/journal"
	"ftpvip/rules"
)

// Inspector is the part of a Tracker that looks at connections that are known, and marks them.
type Inspector interface {
	// Inspect says how a connection fares, named by the tuple of its original direction. It returns
	// ErrNoConnection if there is none any more.
	Inspect(src, dst netip.AddrPort) (Inspection, error)
	// SetOpaque says whether packets of a control connection that look like TLS records need reading. It returns
	// ErrNoLabels where the kernel has no room for that; then they are queued like all others.
	SetOpaque(c Connection, opaque bool) error
	// Refresh keeps a connection for as long as conntrack keeps one that has just been used. It returns ErrNoConnection if there is
	// none any more.
	Refresh(c Connection, timeout time.Duration) error
	// End has our rules answer the connection's next packet, from either end, with a reset. It returns ErrNoLabels as
	// SetOpaque does.
	End(c Connection) error
}

// Inspection is how a connection fares.
type Inspection struct {
	Closing bool // one end has closed it at least
	Ended   bool // both have, or it was reset
	Reset   bool // it was reset
	Fate    journal.Fate
	Left    time.Duration // until conntrack forgets it, if nothing more comes
}

// ErrNoLabels says that a connection began before a rule used conntrack labels.
var ErrNoLabels = errors.New("the conntrack entry has no room for labels")

// States of linux/netfilter/nf_conntrack_tcp.h.
const (
	tcpSynSent     = 1
	tcpEstablished = 3
	tcpFinWait     = 4
	tcpTimeWait    = 7
	tcpClose       = 8 // by a reset
)

// Inspect implements Tracker.
func (t *kernelTracker) Inspect(src, dst netip.AddrPort) (Inspection, error) {
	f, err := t.get(conntrack.Flow{TupleOrig: Tuple(src, dst)})
	if errors.Is(err, unix.ENOENT) {
		return Inspection{}, ErrNoConnection
	}
	if err != nil {
		return Inspection{}, fmt.Errorf("looking at the connection %s to %s: %w", src, dst, err)
	}
	return InspectionOf(&f), nil
}

// Established reports whether both ends have opened a connection, and none has closed it.
func Established(f *conntrack.Flow) bool {
	return f.ProtoInfo.TCP != nil && f.ProtoInfo.TCP.State == tcpEstablished
}

// SynSent reports whether a connection has been asked for, and not answered.
func SynSent(f *conntrack.Flow) bool {
	return f.ProtoInfo.TCP != nil && f.ProtoInfo.TCP.State == tcpSynSent
}

// InspectionOf reads a conntrack entry, from an answer or from the event of its end.
func InspectionOf(f *conntrack.Flow) Inspection {
	in := Inspection{Fate: journal.Fate{
		Answered: f.Status.SeenReply(),
		// Without net.netfilter.nf_conntrack_acct there are no counters; with it, the first packet has counted.
		Counted:  f.CountersOrig.Packets > 0,
		Opener:   f.CountersOrig.Bytes,
		Answerer: f.CountersReply.Bytes,
	}}
	in.Left = time.Duration(f.Timeout) * time.Second
	if tcp := f.ProtoInfo.TCP; tcp != nil {
		in.Closing = tcp.State >= tcpFinWait && tcp.State <= tcpClose
		in.Ended = tcp.State == tcpTimeWait || tcp.State == tcpClose
		in.Reset = tcp.State == tcpClose
		in.Fate.Reset = in.Reset
	}
	// The reset that ends an unanswered connection counts, but does not answer it (nf_conntrack_proto_tcp.c).
	in.Fate.Reset = !in.Fate.Answered && (in.Fate.Reset || f.CountersReply.Packets > 0)
	return in
}

// SetOpaque implements Tracker.
func (t *kernelTracker) SetOpaque(c Connection, opaque bool) error {
	labels, mask := labelBit(rules.OpaqueLabel, opaque)
	return t.label(c, labels, mask)
}

// Refresh implements Tracker.
func (t *kernelTracker) Refresh(c Connection, timeout time.Duration) error {
	err := t.conn.Update(c.Zone().In(conntrack.Flow{
		TupleOrig: Tuple(c.Client, c.VIP), TupleReply: Tuple(c.Backend, c.Seen), Timeout: uint32(timeout / time.Second), //nolint:gosec // days
	}))
	if errors.Is(err, unix.ENOENT) {
		return ErrNoConnection
	}
	return err
}

// End implements Tracker.
func (t *kernelTracker) End(c Connection) error {
	labels, mask := labelBit(rules.EndedLabel, true)
	return t.label(c, labels, mask)
}

func (t *kernelTracker) label(c Connection, labels, mask []byte) error {
	// The reply's tuple makes ti-mo/conntrack choose the family.
	err := t.conn.Update(c.Zone().In(conntrack.Flow{
		TupleOrig: Tuple(c.Client, c.VIP), TupleReply: Tuple(c.Backend, c.Seen), Labels: labels, LabelsMask: mask,
	}))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EOPNOTSUPP):
		return ErrNoLabels
	case errors.Is(err, unix.ENOENT):
		return ErrNoConnection
	}
	return fmt.Errorf("labelling the connection %s to %s: %w", c.Client, c.VIP, err)
}

// hasOpaqueLabel looks for our bit in the labels of an entry.
func hasOpaqueLabel(labels []byte) bool {
	const word, bit = rules.OpaqueLabel / 32 * 4, uint32(1) << (rules.OpaqueLabel % 32)
	return len(labels) >= word+4 && binary.NativeEndian.Uint32(labels[word:])&bit != 0
}

// labelBit is the bitmap of conntrack labels with one of ours, and the mask of what is changed. The kernel takes them as
// 32-bit words (net/netfilter/nf_conntrack_labels.c, nf_connlabels_replace), in the machine's byte order.
func labelBit(label int, set bool) (labels, mask []byte) {
	word, bit := label/32*4, uint32(1)<<(label%32)
	labels, mask = make([]byte, 16), make([]byte, 16)
	binary.NativeEndian.PutUint32(mask[word:], bit)
	if set {
		binary.NativeEndian.PutUint32(labels[word:], bit)
	}
	return labels, mask
}
