package helper

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"ftpvip/helper/journal"
)

// rewatch is the pause before listening to conntrack's events again.
const rewatch = time.Second

// hear listens to conntrack's events until ctx ends. It closes ready when it listens, or cannot.
func (d *Daemon) hear(ctx context.Context, ready chan struct{}) {
	begun := sync.OnceFunc(func() { close(ready) })
	for ctx.Err() == nil {
		err := d.listen(ctx, begun)
		begun()
		if ctx.Err() != nil {
			return
		}
		d.deaf.Store(true)
		d.log.Warn("cannot listen to conntrack's events; meanwhile endings of sessions are found by looking for them, "+
			"and openings of data connections are missed", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// listen listens until something goes wrong or ctx ends.
func (d *Daemon) listen(ctx context.Context, begun func()) error {
	conn, err := openEvents()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // makes Receive return
	defer func() {
		if stop() {
			_ = conn.Close() // the socket is given up either way
		}
	}()
	d.deaf.Store(hostSetting("nf_conntrack_events") == "0")
	begun()
	for {
		messages, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("receiving conntrack's events: %w", err)
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				d.log.Warn("an event of conntrack cannot be read", "err", err)
				continue
			}
			d.happened(&e)
		}
	}
}

// openEvents joins the groups of new and of forgotten connections.
func openEvents() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to conntrack: %w", err)
	}
	filter, err := bpf.Assemble(eventFilter())
	if err == nil {
		// What does not fit into the buffer is lost; the sweep finds the sessions that have ended.
		err = errors.Join(conn.SetOption(netlink.NoENOBUFS, true), conn.SetReadBuffer(4<<20), conn.SetBPF(filter),
			conn.JoinGroup(uint32(netfilter.GroupCTNew)), conn.JoinGroup(uint32(netfilter.GroupCTDestroy)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the socket for conntrack's events: %w", err), conn.Close())
	}
	return conn, nil
}

// Layout of a message (linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h).
const (
	offsetType  = 4  // of the message's type in struct nlmsghdr, in the machine's byte order
	offsetAttrs = 20 // behind struct nlmsghdr and struct nfgenmsg
	attrHeader  = 4

	msgConntrackNew    = 0 // IPCTNL_MSG_CT_NEW
	msgConntrackDelete = 2 // IPCTNL_MSG_CT_DELETE

	attrStatus      = 3  // CTA_STATUS
	attrTupleMaster = 14 // CTA_TUPLE_MASTER
)

// eventFilter lets pass what concerns us, for all connections of the host are in these groups: new connections that
// were expected (they name their master), and forgotten ones that were expected or carry a helper, as control
// connections do.
func eventFilter() []bpf.Instruction {
	kind := uint32(offsetType) // the low byte, which is the message within its subsystem
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		kind++
	}
	const ours = uint32(conntrack.StatusExpected | conntrack.StatusHelper)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: kind, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: msgConntrackDelete, SkipTrue: 5},
		bpf.LoadConstant{Dst: bpf.RegA, Val: offsetAttrs},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attrTupleMaster},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr}, // the attribute's offset, or 0
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 8},
		bpf.RetConstant{Val: 0},
		bpf.LoadConstant{Dst: bpf.RegA, Val: offsetAttrs},
		bpf.LoadConstant{Dst: bpf.RegX, Val: attrStatus},
		bpf.LoadExtension{Num: bpf.ExtNetlinkAttr},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
		bpf.TAX{},
		bpf.LoadIndirect{Off: attrHeader, Size: 4}, // in network order, as the attribute is
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: ours, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	}
}

// happened tells the session that an event concerns.
func (d *Daemon) happened(e *conntrack.Event) {
	f := e.Flow
	if f == nil {
		return
	}
	flow := journal.Flow{Src: source(f.TupleOrig), Dst: destination(f.TupleOrig)}
	switch e.Type {
	case conntrack.EventNew:
		d.earlier.add(f)
		d.dataOpened(path{destination(f.TupleMaster), source(f.TupleMaster)}, flow)
	case conntrack.EventDestroy:
		d.earlier.remove(f)
		if s := d.flows.take(flow); s != nil {
			fate := inspect(f).Fate
			fate.Gone = true
			d.dataClosed(s, flow, fate, time.Now())
			return
		}
		if !f.Status.Expected() {
			d.elders.remove(f.ID)
			c := connectionOf(f)
			d.forget(c, endClosed)
			d.forget(c.turned(), endClosed)
		}
	case conntrack.EventUnknown, conntrack.EventUpdate, conntrack.EventExpNew, conntrack.EventExpDestroy:
	}
}

// dataOpened enters a data connection that somebody opened.
func (d *Daemon) dataOpened(control path, flow journal.Flow) {
	s := d.sessions.find(control)
	if s == nil {
		return // the helper has not seen a packet of it since it started
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.told {
		return
	}
	d.count.opened.Add(1)
	awaited, gone := s.ledger().Opened(time.Now(), flow)
	if awaited {
		s.leavePlace()
	}
	d.flows.add(flow, s)
	if gone != nil {
		d.flows.take(*gone)
	}
}
