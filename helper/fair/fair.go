// Package fair returns which client keeps a queue's reader so busy that the others wait.
//
// All packets of a queue stand in one line, which the kernel keeps, so a client with hundreds of connections can fill it with
// its own. The reader accounts for the time that each client takes (an IPv6 client is a /64). While the reader is near
// saturation, and somebody else is there, a client that has used more than its share is over it: its packets are to be
// dropped, and its TCP slows down. A client that is alone, or within its share, is never over it.
//
// The account is a count-min sketch of leaky buckets: a client has one bucket in each of two rows, and what it owes is the
// smaller of the two. Its size is fixed, and the hash is seeded again by each process, so nobody can choose to share both
// buckets with another client.
package fair

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// When the reader is near saturation: when it has worked so much more than that part of the time. And how long that is
// remembered after it, or after a packet was dropped last: a client that is held back makes the reader look idle.
const (
	saturation      = 10 * time.Millisecond
	busyPart   rate = whole * 7 / 10
	remember        = 5 * time.Second
)

// How far a client may get ahead of its share: at first, and while it is held back. The others wait for that.
const (
	ahead     = 10 * time.Millisecond
	heldAhead = 200 * time.Microsecond
)

// maxCharge bounds what one packet counts for its client, and maxLoad what it counts for the reader. Few take longer, unless
// the reader had to wait for the processor, and that is not the client's fault.
const (
	maxCharge = 500 * time.Microsecond
	maxLoad   = time.Millisecond
)

// warnEvery is how often the log is to have a client.
const warnEvery = time.Minute

const (
	rows  = 2
	cells = 1024 // of a row; a power of two
)

// recount is how often the clients are counted: those that are busy now, among whom the time is divided, and those that were
// there lately, for whose sake it is.
const (
	recount = 100 * time.Millisecond
	busyNow = 250 * time.Millisecond
)

// Shares is the account of one reader. Several goroutines may use it.
type Shares struct {
	seeds [2]uint64
	until atomic.Int64 // until when the reader counts as saturated; a time.Duration

	mu      sync.Mutex
	load    bucket // what the reader itself works beyond busyPart
	clients int    // that were there within remember, when they were counted last
	counted time.Duration
	drain   rate // the share of each
	rows    [rows][cells]cell
}

// rate is the part of the time that a bucket loses, of whole.
type rate int64

const whole = 1 << 10

// bucket is a leaky bucket of time.
type bucket struct {
	debt time.Duration
	last time.Duration // when it was brought up to date
}

// leak brings the bucket up to date.
func (b *bucket) leak(now time.Duration, r rate) {
	if now > b.last {
		b.debt = max(b.debt-(now-b.last)*time.Duration(r)/whole, 0)
		b.last = now
	}
}

// fill adds to it, up to a limit: what is beyond that is forgotten.
func (b *bucket) fill(d, limit time.Duration) { b.debt = min(b.debt+d, limit) }

// cell is a bucket that some clients have in common.
type cell struct {
	bucket
	held   time.Duration // until when it is held back
	warned time.Duration // when the log was to have it last
}

// New returns an empty account.
func New() *Shares {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return &Shares{
		seeds:   [2]uint64{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:]) | 1},
		counted: -recount, drain: share(1),
	}
}

// share is the part of a reader's time that each of n clients has: somewhat more than an equal part, because nobody is to
// be held back for a small difference, and the busiest of many may well use more than the average. Few who share it leave
// some for those who come now and then.
func share(n int) rate { return min(whole*5/4/rate(max(n, 1))+whole/16, whole*11/20) }

// cellsOf finds a client's bucket in each row.
func (s *Shares) cellsOf(client netip.Addr) [rows]*cell {
	var key uint64
	if client.Is4() {
		a := client.As4()
		key = 0xffff<<32 | uint64(binary.BigEndian.Uint32(a[:]))
	} else {
		a := client.As16()
		key = binary.BigEndian.Uint64(a[:8])
	}
	hi, lo := bits.Mul64(key^s.seeds[0], s.seeds[1])
	h := hi ^ lo
	h *= 0x9e3779b97f4a7c15
	return [rows]*cell{&s.rows[0][h>>54], &s.rows[1][h>>44%cells]}
}

// Charge accounts for the time that a client's packet took, in either direction. The time now is since any fixed moment.
func (s *Shares) Charge(now time.Duration, client netip.Addr, took time.Duration) {
	list := s.cellsOf(client)
	s.mu.Lock()
	s.load.leak(now, busyPart)
	s.load.fill(min(took, maxLoad), 2*saturation)
	if s.load.debt > saturation {
		s.until.Store(int64(now + remember))
	}
	for _, c := range list {
		c.leak(now, s.drain)
		c.fill(min(took, maxCharge), ahead+maxCharge)
	}
	if now-s.counted >= recount {
		s.count(now)
	}
	s.mu.Unlock()
}

// count counts the clients.
func (s *Shares) count(now time.Duration) {
	s.counted, s.clients = now, 0
	busy := 0
	for i := range s.rows[0] {
		last := s.rows[0][i].last
		if last > 0 && now-last < remember {
			s.clients++
			if now-last < busyNow {
				busy++
			}
		}
	}
	s.drain = share(busy)
}

// Over reports whether a client is over its share while others need the reader, so that its packet is to be dropped; and
// whether the log is to have it.
func (s *Shares) Over(now time.Duration, client netip.Addr) (over, warn bool) {
	if time.Duration(s.until.Load()) <= now {
		return false, false // as nearly always
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients < 2 {
		return false, false
	}
	list := s.cellsOf(client)
	debt, held, warned := list[0].debt, list[0].held, list[0].warned
	for i, c := range list {
		c.leak(now, s.drain)
		if i == 0 {
			debt = c.debt
			continue
		}
		debt, held, warned = min(debt, c.debt), min(held, c.held), min(warned, c.warned)
	}
	limit := ahead
	if now < held {
		limit = heldAhead
	}
	if debt <= limit {
		return false, false
	}
	s.until.Store(int64(now + remember))
	warn = warned == 0 || now-warned >= warnEvery
	for _, c := range list {
		c.held = now + remember
		if warn {
			c.warned = now
		}
	}
	return true, warn
}
