package nfqueue

import (
	"encoding/hex"
	"slices"
	"testing"

	"ftpvip/rules/nfnl"
)

// TestAppend compares with what go-nfqueue v2.0.2 sent, its sequence numbers and port ids set to 0. It sent the three
// attributes of the binding in three messages.
func TestAppend(t *testing.T) {
	finish := func(b []byte) []byte {
		nfnl.Finish(b, 0)
		return b
	}
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"accept", finish(appendVerdict(nil, 2100, 7, nfAccept)), "20000000010301000000000000000000000008340c0002000000000100000007"},
		{"drop", finish(appendVerdict(nil, 2100, 0x01020304, nfDrop)), "20000000010301000000000000000000000008340c0002000000000001020304"},
		{
			"replace", finish(nfnl.AppendAttr(appendVerdict(nil, 2100, 9, nfAccept), attrPayload, []byte("hello")...)),
			"2c000000010301000000000000000000000008340c000200000000010000000909000a0068656c6c6f000000",
		},
		{
			"bind", appendBind(nil, 2100, 8192, 0),
			"30000000020305000000000000000000000008340800010001000000090002000000ffff020000000800030000002000",
		},
		{"unbind", appendUnbind(nil, 2100, 0), "1c000000020305000000000000000000000008340800010002000000"},
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s:\nwant %s\ngot  %s", tt.name, tt.want, got)
		}
	}
	if n := len(appendBind(nil, 0, 0, 0)); n > configLen {
		t.Errorf("binding takes %d bytes, the buffer has %d", n, configLen)
	}
}

// Attributes of a queued packet, as the kernel writes them (net/netfilter/nfnetlink_queue.c).
const (
	header    = "0b000100" + "00000007" + "0800" + "0400"
	outDevice = "08000600" + "00000003"
	mark      = "08000300" + "00000001"
)

func TestReadPacket(t *testing.T) {
	tests := []struct {
		name    string
		in      string
		id      uint32
		hasID   bool
		payload string
		bad     bool
	}{
		{name: "OK", in: header + outDevice + mark + "09000a00" + "4500000011" + "000000", id: 7, hasID: true, payload: "4500000011"},
		{name: "OK without padding", in: header + "09000a00" + "4500000011", id: 7, hasID: true, payload: "4500000011"},
		{name: "OK without payload", in: header + outDevice, id: 7, hasID: true},
		{name: "bad payload cut off", in: header + "ff000a00" + "4500000011", id: 7, hasID: true, bad: true},
		{name: "bad attribute after the header", in: header + "0300", id: 7, hasID: true, bad: true},
		{name: "bad header cut off", in: "0a000100" + "00000007" + "0800" + "0000", bad: true},
		{name: "bad without header", in: outDevice + "09000a00" + "4500000011", payload: "4500000011", bad: true},
		{name: "bad empty", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			id, hasID, payload, err := readPacket(b)
			if id != tt.id || hasID != tt.hasID || hex.EncodeToString(payload) != tt.payload || (err != nil) != tt.bad {
				t.Errorf("got id %d (%v), payload %x, error %v", id, hasID, payload, err)
			}
		})
	}
}

// FuzzMessages checks that no bytes make the reader panic.
func FuzzMessages(f *testing.F) {
	b := nfnl.Append(nil, nfnl.Header{Subsystem: 3})
	b = nfnl.AppendAttr(b, attrPacketHeader, 0, 0, 0, 7, 8, 0, 4)
	b = nfnl.AppendAttr(b, attrPayload, 0x45, 0, 0, 0, 17)
	nfnl.Finish(b, 0)
	f.Add(b)
	f.Add(b[:len(b)-9])
	f.Add(append(slices.Clip(b), appendUnbind(nil, 2100, seqUnbind)...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		socket, err := nfnl.Open()
		if err != nil {
			panic(err)
		}
		_ = socket.Close() // verdicts go nowhere
		q := &Queue{socket: socket, answers: make(chan error, 1)}
		q.h = Handler{Packet: func(uint32, []byte) {}, Error: func(error) {}}
		q.messages(b)
	})
}
