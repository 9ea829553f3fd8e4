package main

import (
	"net/netip"
	"testing"

	"ftpvip/helper/ftp"
)

func TestPassive(t *testing.T) {
	at := netip.MustParseAddrPort("10.2.0.11:50001")
	line := string(appendPassive(nil, at))
	if want := "227 Entering Passive Mode (10,2,0,11,195,81).\r\n"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	if got, ok := ftp.ParsePASV(line[4:]); !ok || got != at {
		t.Errorf("parsed back: %v, %v", got, ok)
	}
}

func TestReplyCode(t *testing.T) {
	for line, want := range map[string]int{
		"220 ready": 220, "227 x": 227, "226 ": 226, "220-more to come": 0, "22": 0, "": 0, "x20 no": 0, "\n227 no": 0,
	} {
		if got := replyCode([]byte(line)); got != want {
			t.Errorf("%q: got %d, want %d", line, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	var l lines
	l.n = copy(l.b[:], "220 one\r\n331 two\r\n230 thr")
	for _, want := range []string{"220 one", "331 two"} {
		if got := string(l.next()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := l.next(); got != nil {
		t.Errorf("an incomplete line came out: %q", got)
	}
}
