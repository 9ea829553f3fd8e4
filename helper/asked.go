package helper

import (
	"fmt"
	"time"

	"ftpvip/helper/ftp"
)

// Limits of what one packet may make the kernel do. A segment has room for sixty PORT lines, and all other packets of the
// queue wait while it is read. A normal client sends one.
const (
	maxAnnounced = 4  // data connections
	maxCalls     = 40 // times that the kernel is asked, another port after a busy one included
)

// repeatTime is how long an announcement is known to be valid without asking the kernel again.
const repeatTime = time.Second

// asked is what a session has asked of the kernel. There are thousands, so it is small.
type asked struct {
	to        hash   // of where the latest was to end
	commands  uint32 // how many had been read then
	port      uint16 // that was tried last
	command   ftp.Command
	opened    bool  // it stands
	announced uint8 // by the current packet
	calls     uint8
}

// hash stands for where a data connection is to end.
func (s *session) hash(c ftp.DataConn) hash { return path{c.To, c.To}.hash(s.daemon.sessions.seed) }

var errTooMany = fmt.Errorf("%w: more than %d announcements in one packet", ftp.ErrQuota, maxAnnounced)

// affordable reports whether the current packet may ask the kernel for c, and counts that.
func (s *session) affordable(c ftp.DataConn) bool {
	a := &s.asked
	again := a.calls > 0 && a.command == c.Command && a.to == s.hash(c) // with another port
	if !again {
		a.announced++
	}
	if a.announced > maxAnnounced || a.calls == maxCalls {
		a.announced = min(a.announced, maxAnnounced+1)
		return false
	}
	a.calls++
	a.command, a.to, a.port, a.opened = c.Command, s.hash(c), c.Port, false
	return true
}

// repeats says whether c is announced already, has not been used, and the kernel need not be asked. A client that says the
// same PORT again before any other command has not used it: servers connect when they are asked for a transfer. In passive
// mode it is the client who connects, whenever it likes.
func (s *session) repeats(c ftp.DataConn) bool {
	a := &s.asked
	if c.Passive || !s.place || !a.opened || a.command != c.Command || a.port != c.Port || a.to != s.hash(c) || time.Duration(s.now-s.awaits) >= repeatTime {
		return false
	}
	n := s.engine.Commands()
	if n-a.commands > 1 {
		return false
	}
	a.commands = n
	return true
}
