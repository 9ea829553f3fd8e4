// Package recall keeps what the sessions of a helper remember in a file that outlives the helper, so that the next one
// can go on in the middle of a line. The kernel has what was written, whatever kills the process; the file belongs on a
// file system in memory, and needs to survive nothing more.
//
// What cannot be read is no memory: a session goes on without it as well, only with less knowledge.
package recall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Bounds.
const (
	MaxLen   = 1 << 10 // of one memory
	MaxSlots = 16384   // sessions that have one; 18 MiB at most
)

// magic stands at the start of each slot, with the version of the layout.
const magic = 0x66747601

// A slot is: magic, checksum of what follows, length of the memory, key, memory.
const (
	offSum  = 4
	offLen  = 8
	offKey  = 10
	offBody = offKey + len(Key{})
	slotLen = offBody + MaxLen
)

// Key says whose memory it is.
type Key [76]byte

// Slot is a session's place in the file. The zero value is none.
type Slot uint32

// File is the file. A nil File remembers nothing.
type File struct {
	mu   sync.Mutex
	f    *os.File
	fd   int
	used Slot         // slots up to this one were given out at some time
	free []Slot       // of those
	old  map[Key]Slot // what the helper before has left, and nobody has claimed
	buf  [slotLen]byte
	err  error // why nothing is remembered any more
}

var table = crc32.MakeTable(crc32.Castagnoli)

// Open reads what is in f, which is this process's own from now on. It fails where another process has it.
func Open(f *os.File) (*File, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	m := &File{f: f, fd: int(f.Fd()), old: map[Key]Slot{}}
	for m.used < MaxSlots {
		n := m.used + 1
		key, _, ok, err := m.read(n)
		switch {
		case errors.Is(err, io.EOF):
			return m, nil
		case err != nil:
			return nil, err
		case ok:
			m.old[key] = n
		default:
			m.free = append(m.free, n)
		}
		m.used = n
	}
	return m, nil
}

func (n Slot) offset() int64 { return int64(n-1) * int64(slotLen) }

// read returns what is in a slot; not ok where that is nothing, or nonsense. The memory is valid until the next call.
func (m *File) read(n Slot) (key Key, memory []byte, ok bool, err error) {
	b := m.buf[:]
	k, err := unix.Pread(m.fd, b, n.offset())
	switch {
	case err != nil:
		return key, nil, false, fmt.Errorf("reading %s: %w", m.f.Name(), err)
	case k == 0:
		return key, nil, false, io.EOF
	}
	if k < offBody || binary.BigEndian.Uint32(b) != magic {
		return key, nil, false, nil
	}
	size := int(binary.BigEndian.Uint16(b[offLen:]))
	if size == 0 || offBody+size > k || crc32.Checksum(b[offLen:offBody+size], table) != binary.BigEndian.Uint32(b[offSum:]) {
		return key, nil, false, nil
	}
	copy(key[:], b[offKey:])
	return key, b[offBody : offBody+size], true, nil
}

// Claim returns the slot of a session that the helper before has left, and hands what it remembers to use.
func (m *File) Claim(key Key, use func(memory []byte)) Slot {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.old[key]
	if n == 0 {
		return 0
	}
	delete(m.old, key)
	if was, memory, ok, err := m.read(n); err == nil && ok && was == key {
		use(memory)
	}
	return n
}

// Write writes what a session remembers into its slot, and returns that: a new one where it had none. An empty memory
// makes the slot free.
func (m *File) Write(n Slot, key *Key, memory []byte) (Slot, error) {
	if m == nil || n == 0 && len(memory) == 0 {
		return 0, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, nil
	}
	if n == 0 {
		if n = m.take(); n == 0 {
			return 0, nil // more sessions than slots
		}
	}
	if len(memory) > MaxLen {
		memory = nil
	}
	b := m.buf[:offBody+len(memory)]
	binary.BigEndian.PutUint32(b, magic)
	binary.BigEndian.PutUint16(b[offLen:], uint16(len(memory))) //nolint:gosec // MaxLen at most
	copy(b[offKey:], key[:])
	copy(b[offBody:], memory)
	binary.BigEndian.PutUint32(b[offSum:], crc32.Checksum(b[offLen:], table))
	k, err := unix.Pwrite(m.fd, b, n.offset())
	if err != nil || k < len(b) {
		return 0, m.giveUp(err)
	}
	if len(memory) == 0 {
		m.free = append(m.free, n)
		n = 0
	}
	return n, nil
}

// take returns a slot that nobody has; 0 if there is none. What was left by the helper before gives way in the end.
func (m *File) take() Slot {
	if k := len(m.free); k > 0 {
		n := m.free[k-1]
		m.free = m.free[:k-1]
		return n
	}
	if m.used < MaxSlots {
		m.used++
		return m.used
	}
	for key, n := range m.old {
		delete(m.old, key)
		return n
	}
	return 0
}

// giveUp empties the file: what cannot be written again must not be believed later.
func (m *File) giveUp(err error) error {
	if err == nil {
		err = unix.ENOSPC
	}
	m.err = errors.Join(fmt.Errorf("writing %s: %w", m.f.Name(), err), m.f.Truncate(0))
	clear(m.old)
	return m.err
}

// Close gives the file up, with what is in it.
func (m *File) Close() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = os.ErrClosed
	return m.f.Close()
}
