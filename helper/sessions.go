package helper

import (
	"cmp"
	"slices"
	"time"

	"ftpvip/helper/journal"
	"ftpvip/helper/live"
)

// maxLook is for how many sessions at a time conntrack is asked about open data connections.
const maxLook = 1000

// Sessions implements live.Source.
func (d *Daemon) Sessions() []live.Session {
	d.findClosed(time.Now())
	var list []live.Session
	looks := 0
	for _, s := range d.sessions.all() {
		open, bytes := 0, uint64(0)
		s.mu.Lock()
		ask := s.book.AnyOpen()
		s.mu.Unlock()
		if ask && d.asker != nil && looks < maxLook {
			looks++
			open, bytes = d.settle(s, false)
		}
		if ls, ok := s.live(); ok {
			ls.Open, ls.OpenBytes = open, bytes
			list = append(list, ls)
		}
	}
	slices.SortFunc(list, func(a, b live.Session) int {
		return cmp.Or(a.Since.Compare(b.Since), a.Client.Compare(b.Client))
	})
	return list
}

// live is the session as it stands; false where it has ended.
func (s *session) live() (live.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.told {
		return live.Session{}, false
	}
	st := s.engine.Stats()
	ls := live.Session{
		VIP: s.vip, Backend: s.backend, Client: s.conn.Client, User: st.User, TLS: st.TLS, PickedUp: s.pickedUp,
		Since: s.begun, Last: s.seen, Commands: st.Commands, Refused: st.Refused, Failed: s.book.Failed(),
		Transfers: []live.Transfer{},
	}
	sums := s.book.Sums()
	for m := range journal.NumModes {
		for dir := range journal.NumDirections {
			if sum := sums[m][dir]; sum.Count > 0 {
				ls.Transfers = append(ls.Transfers, live.Transfer{
					Mode: m.String(), Direction: dir.String(), Count: uint64(sum.Count), Uncounted: uint64(sum.Uncounted),
					Bytes: sum.Bytes,
				})
			}
		}
	}
	return ls, true
}
