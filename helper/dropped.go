package helper

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ti-mo/conntrack"

	"ftpvip/helper/track"
)

// An expectation is used up by the first packet of its data connection, before the host's firewall has judged that packet. If it is
// dropped there is no connection, and no expectation for the packet that TCP sends again a second later.
const usedUpGrace = 150 * time.Millisecond // by then conntrack has told of the connection

// listenToExpectations receives the events of expectations until ctx ends.
func (d *Daemon) listenToExpectations(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.hearExpectations(ctx); err != nil && ctx.Err() == nil {
			d.log.Debug("not receiving the events of expectations: packets that this host drops are not told from those that never came", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

func (d *Daemon) hearExpectations(ctx context.Context) error {
	conn, err := track.OpenExpectationEvents()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // makes Receive return
	defer func() {
		if stop() {
			_ = conn.Close() // the socket is given up either way
		}
	}()
	for {
		messages, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("receiving the events of expectations: %w", err)
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil || e.Expect == nil {
				continue
			}
			master := e.Expect.TupleMaster
			if s := d.sessions.find(path{track.Destination(master), track.Source(master)}); s != nil {
				at := track.Destination(e.Expect.Tuple)
				time.AfterFunc(usedUpGrace, func() { s.usedUp(at) })
			}
		}
	}
}

// usedUp is called a moment after an expectation is gone. If no connection came of it the host dropped the packet: the announcement
// is made again, for the one that TCP sends next.
func (s *session) usedUp(at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.told || time.Duration(s.daemon.moment(time.Now())-s.awaits) > expectTimeout-time.Second {
		return
	}
	c, again := s.pages().Seen(at)
	if !again {
		return
	}
	if err := s.tracker.Expect(s.conn, c); err != nil {
		s.log().Debug("cannot announce a data connection again", "at", at, "err", err)
		return
	}
	s.daemon.count.renewed.Add(1)
	if s.daemon.debugs() {
		s.log().Debug("the first packet of a data connection was dropped by this host; announced again", "at", at)
	}
}
