package main

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPacketNumber(t *testing.T) {
	header := []byte{1, 2, 3, 4, 8, 0, 3}
	for _, tt := range []struct {
		name string
		m    []byte
		want []byte
	}{
		{"a packet", message(queuePacket, 2100, packetHeader, header), []byte{1, 2, 3, 4}},
		{"no header", message(queuePacket, 2100, packetHeader+9, header), nil},
		{"another message", message(unix.NLMSG_ERROR, 0, packetHeader, header), nil},
		{"cut short", message(queuePacket, 2100, packetHeader, header)[:messageHeader+6], nil},
		{"nothing", nil, nil},
	} {
		number := make([]byte, 4)
		if ok := packetNumber(tt.m, number); ok != (tt.want != nil) || ok && !bytes.Equal(number, tt.want) {
			t.Errorf("%s: %v, %v", tt.name, ok, number)
		}
	}
}
