package helper

import (
	"testing"
	"time"
)

// TestUnconfirmed has packets of a connection that conntrack does not get to know: each path has three tries, and no packet
// goes on unread.
func TestUnconfirmed(t *testing.T) {
	h := newHost(t, twoArm)
	send := func(src string) string {
		t.Helper()
		h.id++
		h.d.handle(h.worker, h.queue, h.id, segment(t, at(src), at("10.0.0.2:2"), 1, 1, "PASV\r\n"))
		return h.queue.verdict(h.id)
	}
	for _, want := range []string{"spoilt", "spoilt", "spoilt", "drop", "drop"} {
		if got := send("10.0.0.1:1"); got != want {
			t.Errorf("verdict %q, want %q", got, want)
		}
	}
	if got := send("10.0.0.1:9"); got != "spoilt" {
		t.Errorf("another connection: verdict %q", got)
	}
	f := h.d.Figures()
	if f.Unread["no_connection"] != 4 || f.Unread["unknown"] != 2 {
		t.Errorf("counted %v", f.Unread)
	}
}

func TestSpoiltTries(t *testing.T) {
	var s spoilt
	const path = 77
	for i := range maxSpoilt {
		if !s.again(path, moment(i)) {
			t.Fatalf("no try %d", i)
		}
	}
	if s.again(path, moment(spoiltFor)) {
		t.Error("one try too many")
	}
	if !s.again(path, moment(spoiltFor+time.Second)) {
		t.Error("it is not forgotten")
	}
	if !s.again(path+maxSpoiltKept, moment(spoiltFor+time.Second)) {
		t.Error("another path in the same place has no try")
	}
}
