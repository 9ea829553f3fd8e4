package helper

import (
	"encoding/binary"

	"ftpvip/helper/ftp"
	"ftpvip/helper/recall"
	"ftpvip/helper/track"
)

const _ = uint(recall.MaxLen - ftp.MaxMemory) // every memory fits

// memoryKey is what a session's memory is found by. conntrack's id tells it from later connections of the same ends.
func memoryKey(c *track.Connection) (k recall.Key) {
	b := binary.BigEndian.AppendUint32(k[:0], c.ID)
	for _, p := range pathsOf(c) {
		pair := p.key()
		b = append(b, pair[:]...)
	}
	return k
}

// remind gives the engine what the helper before has left of this session, where there is anything: before its first packet,
// and not when it is made, because of two that are made for one connection one is thrown away.
func (s *session) remind() {
	s.reminded = true
	s.slot = s.daemon.opts.Memory.Claim(memoryKey(&s.conn), func(memory []byte) {
		if s.start == ftp.Midway {
			s.engine.Recall(memory) // or not: then it goes on with less knowledge
		}
	})
}

// remember writes down what the engine remembers, before its verdicts are carried out: a helper that is killed has no
// time to do that. Where it cannot be written the next helper knows less, and no packet waits for that.
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
		s.daemon.log.Warn("what sessions remember is not kept any more; a helper that is killed in the middle of a line leaves "+
			"the next one to guess", "err", err)
	}
}

// forgetMemory is for a session that has ended. When the helper ends its sessions go on, and so does their memory.
func (s *session) forgetMemory() {
	if s.slot == 0 || s.daemon.stopping.Load() {
		return
	}
	s.slot, _ = s.daemon.opts.Memory.Write(s.slot, &recall.Key{}, nil)
}
