package nfnl

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppend(t *testing.T) {
	b := Append(nil, Header{Subsystem: unix.NFNL_SUBSYS_QUEUE, Type: 2, Flags: unix.NLM_F_ACK, Seq: 7, Family: 2, Resource: 2100})
	start := len(b)
	b = Nest(b, 1)
	b = AppendAttr(b, 3, 1, 2, 3, 4, 5)
	Close(b, start)
	Finish(b, 0)
	want := "24000000" + "0203" + "0500" + "07000000" + "00000000" + "02000834" + "10000180" + "09000300" + "0102030405000000"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

func TestNext(t *testing.T) {
	const packet = "18000000" + "0003" + "0000" + "00000000" + "00000000" + "02000834" + "deadbeef"
	tests := []struct {
		name  string
		in    string
		typ   uint16
		attrs string
		err   error
		rest  int
		bad   bool
	}{
		{name: "a packet", in: packet, typ: 0x300, attrs: "deadbeef"},
		{name: "two", in: packet + packet, typ: 0x300, attrs: "deadbeef", rest: 24},
		{name: "cut off", in: packet[:44], typ: 0x300, attrs: "dead"},
		{name: "within the header", in: packet[:30], bad: true},
		{name: "empty", bad: true},
		{name: "a length below the header's", in: "0f000000" + packet[8:], bad: true},
		{name: "without nfgenmsg", in: "10000000" + packet[8:32], typ: 0x300},
		{name: "an acknowledgement", in: "14000000" + "0200" + "0000" + "07000000" + "00000000" + "00000000", typ: unix.NLMSG_ERROR},
		{name: "an error", in: "14000000" + "0200" + "0000" + "07000000" + "00000000" + "ffffffff", typ: unix.NLMSG_ERROR, err: unix.EPERM},
		{name: "an error without number", in: "10000000" + "0200" + "0000" + "07000000" + "00000000", typ: unix.NLMSG_ERROR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, rest, ok := Next(decode(t, tt.in))
			if ok == tt.bad {
				t.Fatalf("ok is %v", ok)
			}
			if m.Type != tt.typ || len(rest) != tt.rest || !errors.Is(m.Err(), tt.err) || hex.EncodeToString(m.Attrs) != tt.attrs {
				t.Errorf("got %+v, error %v, %d bytes left", m, m.Err(), len(rest))
			}
		})
	}
}

func TestNextAttr(t *testing.T) {
	tests := []struct {
		name string
		in   string
		typ  uint16
		data string
		rest int
		bad  bool
	}{
		{name: "one", in: "08000a00" + "01020304", typ: 10, data: "01020304"},
		{name: "with padding", in: "05000a00" + "01000000" + "0400", typ: 10, data: "01", rest: 2},
		{name: "padding left out at the end", in: "05000a00" + "01", typ: 10, data: "01"},
		{name: "flags taken off", in: "04000ac0", typ: 10},
		{name: "longer than what is there", in: "09000a00" + "01020304", bad: true},
		{name: "shorter than its header", in: "03000a00", bad: true},
		{name: "half a header", in: "0400", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ, data, rest, ok := NextAttr(decode(t, tt.in))
			if ok == tt.bad || typ != tt.typ || hex.EncodeToString(data) != tt.data || len(rest) != tt.rest {
				t.Errorf("got type %d, %x, %d bytes left, ok is %v", typ, data, len(rest), ok)
			}
		})
	}
}

// FuzzNext checks that no bytes lead beyond the buffer, and that reading comes to an end.
func FuzzNext(f *testing.F) {
	f.Add([]byte{})
	f.Add(Append(nil, Header{}))
	b := AppendAttr(Append(nil, Header{Subsystem: 3}), 1, 0, 0, 0, 1, 8, 0, 4)
	Finish(b, 0)
	f.Add(bytes.Repeat(b, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, ok := Next(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("no progress: %d bytes, then %d", len(b), len(rest))
			}
			for attrs := m.Attrs; len(attrs) > 0; {
				_, _, after, ok := NextAttr(attrs)
				if !ok {
					break
				}
				if len(after) >= len(attrs) {
					t.Fatalf("no progress: %d bytes, then %d", len(attrs), len(after))
				}
				attrs = after
			}
			b = rest
		}
	})
}
