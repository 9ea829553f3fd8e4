package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The numbers of connections that PASVs are measured with, and of sessions at a time.
var (
	pasvConnections = []int{1, 16, 256}
	sessionsAtOnce  = []int{1, 16}
)

// countedSessions is how many sessions the packets to userspace are counted of, one after the other.
const countedSessions = 10

// settled is how long the helper is left alone before its memory is read.
const settled = 2 * time.Second

// bench runs the measurements and notes them on the board.
type bench struct {
	options
	kinds []kind
	board *board
	peers []*peer
	say   func(format string, args ...any) // progress
}

// measurement is one thing done with one peer in one round.
type measurement struct {
	name string
	run  func(*bench, *peer)
}

func measurements() []measurement {
	var list []measurement
	for _, n := range pasvConnections {
		list = append(list, measurement{fmt.Sprintf("PASV on %d", n), func(b *bench, p *peer) { b.pasv(p, n) }})
	}
	for _, n := range sessionsAtOnce {
		list = append(list, measurement{fmt.Sprintf("%d sessions", n), func(b *bench, p *peer) { b.sessions(p, n) }})
	}
	return append(list, measurement{"packets", (*bench).packets})
}

// wants reports whether a measurement was asked for.
func (o *options) wants(name string) bool { return o.only == nil || o.only.MatchString(name) }

// run does everything. Its error is trouble with ftpvip itself or with the machine; what goes wrong with other peers
// is on the board.
func (b *bench) run(ctx context.Context) error {
	for _, k := range b.kinds {
		b.board.contestants = append(b.board.contestants, &contestant{Key: k.key, Title: k.title})
	}
	if err := b.setUp(ctx, ""); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, m := range measurements() {
			if !b.wants(m.name) {
				continue
			}
			b.say("round %d of %d: %s", round+1, b.rounds, m.name)
			for i := range b.peers { // nobody is always the first
				p := b.peers[(i+round)%len(b.peers)]
				if err := b.activate(ctx, p); err != nil {
					return err
				}
				m.run(b, p)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
		}
	}
	if err := b.tearDown(ctx); err != nil {
		return err
	}
	if b.idle == 0 || !b.wants("memory") {
		return nil
	}
	if err := b.setUp(ctx, "idle-"); err != nil { // helpers that have done nothing yet
		return err
	}
	for _, p := range b.peers {
		if err := b.activate(ctx, p); err != nil {
			return err
		}
		b.memory(p)
	}
	return b.tearDown(ctx)
}

// setUp makes the peers that can be had here.
func (b *bench) setUp(ctx context.Context, prefix string) error {
	for i, k := range b.kinds {
		if b.board.contestants[i].Skipped != "" {
			continue
		}
		p, err := newPeer(ctx, k, prefix)
		if err == nil {
			b.peers = append(b.peers, p)
			if err = b.activate(ctx, p); err == nil {
				continue
			}
		}
		if !k.optional {
			return fmt.Errorf("%s: %w", k.title, err)
		}
		b.board.skip(k.key, err)
		if p != nil {
			b.peers = slices.DeleteFunc(b.peers, func(other *peer) bool { return other == p })
			_ = p.close()
		}
	}
	return nil
}

// tearDown ends all peers; what they registered in the kernel goes as well.
func (b *bench) tearDown(ctx context.Context) error {
	var errs []error
	for _, p := range b.peers {
		if p.exclusive && b.contested() {
			errs = append(errs, p.deactivate(ctx))
		}
		errs = append(errs, p.close())
	}
	b.peers = nil
	return errors.Join(errs...)
}

// contested reports whether several peers want to be the helper named ftp.
func (b *bench) contested() bool {
	n := 0
	for _, p := range b.peers {
		if p.exclusive {
			n++
		}
	}
	return n > 1
}

// activate makes a peer carry sessions, after it has taken down the one that excludes it.
func (b *bench) activate(ctx context.Context, p *peer) error {
	if p.exclusive {
		for _, other := range b.peers {
			if other != p && other.exclusive {
				if err := other.deactivate(ctx); err != nil {
					return err
				}
			}
		}
	}
	return p.activate(ctx)
}

func (b *bench) pasv(p *peer, n int) {
	r, err := p.pasv(n, b.span)
	if n > 1 {
		b.note(pasvRate(n), p, r.rate, err)
		return
	}
	b.note(latency50, p, float64(r.p50)/float64(time.Microsecond), err)
	b.note(latency99, p, float64(r.p99)/float64(time.Microsecond), err)
}

func (b *bench) sessions(p *peer, n int) {
	rate, _, err := p.sessions(n, b.span, 0)
	b.note(sessionRate(n), p, rate, err)
}

func (b *bench) packets(p *peer) {
	before, err := p.queued()
	if err != nil {
		b.note(packets, p, 0, err)
		return
	}
	_, total, err := p.sessions(1, 0, countedSessions)
	after, errAfter := p.queued()
	b.note(packets, p, float64(after-before)/float64(max(total, 1)), errors.Join(err, errAfter))
}

// memory measures the helper's process, where there is one.
func (b *bench) memory(p *peer) {
	if p.helper == nil {
		return
	}
	b.say("%s with %d idle connections", p.title, b.idle)
	bytes, err := p.resident()
	b.note(memory0, p, float64(bytes)/1e6, err)
	err = p.crowded(b.idle, func() (err error) {
		time.Sleep(settled)
		bytes, err = p.resident()
		return err
	})
	b.note(memoryAt(b.idle), p, float64(bytes)/1e6, err)
}

// note takes a result. A few wrong replies are a remark about others, but a failure of ftpvip.
func (b *bench) note(f figure, p *peer, value float64, err error) {
	wrong := (*wrongError)(nil)
	switch {
	case errors.As(err, &wrong) && !wrong.most() && p.key != ftpvipKey:
		b.board.remarks = append(b.board.remarks, fmt.Sprintf("%s: %s: %v", p.title, f.title, err))
	case err != nil:
		b.say("%s: %s: %v", p.title, f.title, err)
		if p.helper != nil {
			b.say("%s", p.helper.Stderr())
		}
		b.board.fail(f, p.key, err)
		return
	}
	b.board.add(f, p.key, value)
}
