package helper

import "ftpvip/helper/track"

// resetStray resets a connection that conntrack picked up from a server's packet, and whose source is not the VIP any more.
// Its client does not accept the packets, and they must not pass unread.
func (d *Daemon) resetStray(tracker track.Tracker, c track.Connection) {
	turned := c.Turned()
	log := d.log.With("backend", turned.Backend, "client", turned.Client, "source", turned.VIP)
	if err := tracker.End(c); err != nil {
		log.Warn("packets of a session are dropped: conntrack lost it, and it cannot be reset", "err", err)
		return
	}
	log.Warn("a session is ended with a reset: conntrack lost it and picked it up from the server's packet, which gets another " +
		"source than its VIP; servers on the VIP's own port with a source_group keep their sessions")
}
