package ftp

import (
	"bytes"
	"testing"
	"time"
)

// talk has a session say and hear something, in pieces, and returns it.
func talk(start Start, pieces ...string) *Session {
	e, o := ends4(), &searchOpener{}
	s := NewSession(&e, &Policy{}, start, o)
	seq := [2]uint32{100, 200}
	for i, p := range pieces {
		dir := FromServer
		if p[0] == '>' {
			dir = FromClient
		}
		seg := Segment{Seq: seq[dir], Ack: seq[1-dir], Payload: []byte(p[1:])}
		s.Segment(searchEpoch.Add(time.Duration(i)*time.Second), dir, seg, uint32(i), nil)
		seq[dir] += uint32(len(p) - 1)
	}
	return s
}

// searchOpener opens everything.
type searchOpener struct{}

func (*searchOpener) Open(DataConn) error { return nil }

// What a session remembers is what one that recalls it remembers.
func TestMemory(t *testing.T) {
	for _, pieces := range [][]string{
		{"<220 ready\r\n"},
		{"<220 ready\r\n", ">PORT 203,0,113,9,195,"},
		{"<220 ready\r\n", ">EPSV ALL\r\n", "<200 ok\r\n", ">PASV\r\n", "<227-Entering ("},
		{"<220-Hello\r\n", "< 227 x\r\n22", ">PORT 1,2,3,4,5,6\r\nPO"},
		{"<220 ready\r\n", ">AUTH TLS\r\n", "<234 go on\r\n", ">\x16\x03\x01\x02\x00PO"},
		{"<220 ready\r\n", ">" + string(bytes.Repeat([]byte("x"), 300)), ">PORT 10,"},
	} {
		for _, start := range [...]Start{Fresh, Midway} {
			s := talk(start, pieces...)
			m := s.Memory(nil)
			next := talk(Midway)
			switch {
			case len(m) == 0 || len(m) > MaxMemory:
				t.Errorf("%q: %d bytes", pieces, len(m))
				continue
			case !next.Recall(m):
				t.Errorf("%q: %q is no memory", pieces, m)
				continue
			}
			if again := next.Memory(nil); !bytes.Equal(again, m) {
				t.Errorf("%q:\n%q is remembered as\n%q", pieces, m, again)
			}
			for n := range m {
				if talk(Midway).Recall(m[:n]) {
					t.Errorf("%q: %d bytes of %d are a memory", pieces, n, len(m))
				}
			}
		}
	}
}

// What would be too long is no memory, and neither is that of an encrypted session.
func TestNoMemory(t *testing.T) {
	long := ">" + string(bytes.Repeat([]byte("x"), MaxMemory))
	for _, s := range []*Session{talk(Fresh, "<220 ready\r\n", long), talk(Encrypted, "<\x17\x03\x03\x00\x01x")} {
		if m := s.Memory(nil); len(m) > 0 {
			t.Errorf("%d bytes", len(m))
		}
	}
	if s := talk(Midway); s.Recall(nil) || s.Recall([]byte("nonsense")) {
		t.Error("nonsense is a memory")
	}
}

func TestMemoryTakesNoMemory(t *testing.T) {
	s := talk(Fresh, "<220 ready\r\n", ">PORT 203,0,113,9,195,80\r\n", "<200 ok\r\n", ">PORT 203,0,113,")
	var buf [MaxMemory]byte
	if n := testing.AllocsPerRun(100, func() { s.Memory(buf[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRecall: whatever is taken for a memory, the session goes on.
func FuzzRecall(f *testing.F) {
	f.Add(talk(Fresh, "<220 ready\r\n", ">PORT 203,0,113,9,195,").Memory(nil), []byte("80\r\n"), uint32(1))
	f.Add(talk(Fresh, "<220 ready\r\n", ">PASV\r\n", "<227 Entering (10,").Memory(nil), []byte("2,0,11,1,1)\r\n"), uint32(0))
	f.Fuzz(func(t *testing.T, memory, b []byte, where uint32) {
		s := talk(Midway)
		if !s.Recall(memory) {
			return
		}
		now := searchEpoch
		for i := range uint32(6) {
			dir := Direction(i % 2)
			o := &s.streams[dir]
			seg := Segment{Seq: o.next() - where%64, Ack: s.streams[1-dir].next() - where%7, Payload: bytes.Clone(b)}
			for _, v := range s.Segment(now, dir, seg, i, nil) {
				if v.Action == Rewrite && len(v.Payload) != len(b) {
					t.Fatalf("%q became %q", b, v.Payload)
				}
			}
			now = now.Add(time.Second)
			s.Expire(now, nil)
			s.Memory(nil)
		}
	})
}
