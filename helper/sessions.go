package helper

import (
	"iter"
	"time"

	"ftpvip/helper/journal"
	"ftpvip/helper/live"
)

// maxLook is for how many sessions at a time conntrack is asked about open data connections.
const maxLook = 1000

// Sessions implements live.Source.
func (d *Daemon) Sessions() iter.Seq[live.Session] { return d.eachSession }

func (d *Daemon) eachSession(yield func(live.Session) bool) {
	d.findClosed(time.Now())
	looks := 0
	for _, s := range d.sessions.all() {
		open, bytes := 0, uint64(0)
		s.mu.Lock()
		ask := s.pages().AnyOpen()
		s.mu.Unlock()
		if ask && d.asker != nil && looks < maxLook {
			looks++
			open, bytes = d.settle(s, false)
		}
		if ls, ok := s.live(); ok {
			ls.Open, ls.OpenBytes = open, bytes
			if !yield(ls) {
				return
			}
		}
	}
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
		VIP: s.target.vip, Backend: s.target.backend, Client: s.conn.Client, User: st.User, TLS: st.TLS, PickedUp: s.pickedUp,
		Since: s.daemon.time(s.begun), Last: s.daemon.time(s.lastSeen()), Commands: st.Commands, Refused: st.Refused,
		Failed:    s.pages().Failed(),
		Transfers: []live.Transfer{},
	}
	sums := s.pages().Sums()
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
