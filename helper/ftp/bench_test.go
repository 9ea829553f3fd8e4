package ftp

import (
	"testing"
	"time"
)

type openAll struct{}

func (openAll) Open(DataConn) error { return nil }

// BenchmarkPassed is a segment that passes: a command and its reply in turn.
func BenchmarkPassed(b *testing.B) {
	s := NewSession(new(ends4()), &Policy{}, Fresh, openAll{})
	now := time.Unix(1700000000, 0)
	var seq [2]uint32
	say := [2][]byte{[]byte("SIZE some/file/name.bin\r\n"), []byte("213 1048576\r\n")}
	out := s.Segment(now, FromServer, Segment{Payload: []byte("220 ready\r\n")}, 0, nil)
	seq[FromServer] = 11
	i := 0
	step := func() {
		d := Direction(i & 1)
		i++
		out = s.Segment(now, d, Segment{Seq: seq[d], Payload: say[d]}, 1, out[:0])
		seq[d] += uint32(len(say[d]))
		if len(out) != 1 || out[0].Action != Pass {
			b.Fatalf("%+v", out)
		}
	}
	for range 10000 {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// BenchmarkPASV is a PASV and its rewritten reply.
func BenchmarkPASV(b *testing.B) {
	s := NewSession(new(ends4()), &Policy{}, Fresh, openAll{})
	now := time.Unix(1700000000, 0)
	var seq [2]uint32
	say := [2][]byte{[]byte("PASV\r\n"), []byte("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")}
	var out []Verdict
	b.ReportAllocs()
	for b.Loop() {
		for d := range Direction(2) {
			out = s.Segment(now, d, Segment{Seq: seq[d], Payload: say[d]}, 1, out[:0])
			seq[d] += uint32(len(say[d]))
		}
		if out[0].Action != Rewrite {
			b.Fatalf("%+v", out)
		}
	}
}

// BenchmarkNewSession is what one control connection costs: greeting, login, one PASV.
func BenchmarkNewSession(b *testing.B) {
	now := time.Unix(1700000000, 0)
	talk := []struct {
		d Direction
		b []byte
	}{
		{FromServer, []byte("220 (vsFTPd 3.0.3)\r\n")},
		{FromClient, []byte("USER anonymous\r\n")},
		{FromServer, []byte("331 Please specify the password.\r\n")},
		{FromClient, []byte("PASS ftp@example.com\r\n")},
		{FromServer, []byte("230 Login successful.\r\n")},
		{FromClient, []byte("PASV\r\n")},
		{FromServer, []byte("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")},
	}
	var out []Verdict
	b.ReportAllocs()
	for b.Loop() {
		s := NewSession(new(ends4()), &Policy{}, Fresh, openAll{})
		var seq [2]uint32
		for _, x := range talk {
			out = s.Segment(now, x.d, Segment{Seq: seq[x.d], Payload: x.b}, 1, out[:0])
			seq[x.d] += uint32(len(x.b))
		}
	}
}

// TestPassedSegmentsDoNotAllocate keeps BenchmarkPassed honest.
func TestPassedSegmentsDoNotAllocate(t *testing.T) {
	s := NewSession(new(ends4()), &Policy{}, Fresh, openAll{})
	now := time.Unix(1700000000, 0)
	var out []Verdict
	var seq uint32
	s.Segment(now, FromServer, Segment{Payload: []byte("220 ready\r\n")}, 1, nil)
	b := []byte("NOOP\r\n")
	if n := testing.AllocsPerRun(10000, func() {
		out = s.Segment(now, FromClient, Segment{Seq: seq, Payload: b}, 1, out[:0])
		seq += uint32(len(b))
	}); n > 0.01 {
		t.Errorf("%v allocations", n)
	}
}
