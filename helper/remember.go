package helper

import (
	"encoding/binary"

	"ftpvip/helper/ftp"
	"ftpvip/helper/recall"
	"ftpvip/helper/track"
)

const _ = uint(recall.MaxLen - ftp.MaxMemory) // every memory fits

// memoryKey identifies the state of a session. conntrack's id distinguishes it from later connections between the same ends.
func memoryKey(c *track.Connection) (k recall.Key) {
	b := binary.BigEndian.AppendUint32(k[:0], c.ID)
	for _, p := range pathsOf(c) {
		pair := p.key()
		b = append(b, pair[:]...)
	}
	return k
}

// remind gives the engine the state that the last helper left of this session, if any. It is called before the first packet,
// not when the session is created: if two are created for one connection, one is discarded.
func (s *session) remind() {
	s.reminded = true
	s.slot = s.daemon.opts.Memory.Claim(memoryKey(&s.conn), func(memory []byte) {
		if s.start == ftp.Midway {
			s.engine.Recall(memory) // or not: then it goes on with less knowledge
		}
	})
}

// remember writes the state of the engine before its verdicts are carried out, because a helper that is killed cannot do it
// later. If writing fails, the next helper knows less; no packet waits for it.
func (s *session) remember() {
	m := s.daemon.opts.Memory
	if m == nil {
		return
	}
	var buf [ftp.MaxMemory]byte
	key := memoryKey(&s.conn)
	slot, err := m.Write(s.slot, &key, s.engine.Memory(buf[:0]))
	s.slot = slot
	if err != nil {
		s.daemon.log.Warn("session state is no longer kept for the next helper; a helper that is killed in the middle of a line leaves "+
			"the next one to guess", "err", err)
	}
}

// forgetMemory removes the state of a session that has ended. When the helper stops, sessions continue, and their state stays.
func (s *session) forgetMemory() {
	if s.slot == 0 || s.daemon.stopping.Load() {
		return
	}
	s.slot, _ = s.daemon.opts.Memory.Write(s.slot, &recall.Key{}, nil)
}
