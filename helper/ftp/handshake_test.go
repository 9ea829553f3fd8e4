package ftp

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

// TestHandshakesPassUnchanged has many handshakes of random bytes, with all that Telnet and lines may read into them. None may
// be changed, but for some of those that come first after a pick-up: they may be the rest of something. A verb that must not
// pass unread stands in one of 10^8 by chance, and not in these.
func TestHandshakesPassUnchanged(t *testing.T) {
	const n = 3000
	active := regexp.MustCompile(`(?i)PORT|EPRT|LPRT|LPSV`)
	random := rand.New(rand.NewPCG(1, 2))
	odd := false
	bytesOf := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
			if odd && random.IntN(20) == 0 { // more often than by chance
				b[i] = "\r\n\xff\xfd\x00P1,"[random.IntN(8)]
			}
		}
		return b
	}
	for _, tt := range []struct {
		name  string
		most  int // of a hundred are changed
		start func() *wire
	}{
		{"after AUTH", 0, func() *wire {
			w := greeted(t, ends4(), Policy{})
			w.client("AUTH TLS\r\n")
			w.server("234 go on\r\n")
			w.toBackend()
			return w
		}},
		{"implicit", 0, func() *wire { return wireFrom(t, ends4(), Policy{}, Fresh) }},
		{"picked up before AUTH", 4, func() *wire {
			w := newWire(t, ends4(), Policy{})
			w.insist("AUTH TLS\r\n")
			w.server("234 go on\r\n")
			w.toBackend()
			return w
		}},
		{"picked up after AUTH", 4, func() *wire {
			w := newWire(t, ends4(), Policy{})
			w.server("234 go on\r\n")
			return w
		}},
	} {
		changed := 0
		for range n {
			hello := append([]byte("\x16\x03\x01\x05\xd8\x01\x00"), bytesOf(300+random.IntN(1500))...)
			if active.Match(graphicOf(hello)) || active.Match(graphicOf(withoutTelnet(hello))) {
				continue
			}
			w := tt.start()
			for rest := hello; len(rest) > 0; {
				k := min(len(rest), 1400)
				w.insist(string(rest[:k]))
				rest = rest[k:]
			}
			w.server("\x16\x03\x03\x00\x7a\x02\x00")
			if got := w.toBackend(); !bytes.Equal([]byte(got), hello) {
				if changed++; changed == 1 && tt.most == 0 {
					at := 0
					for at < len(got) && got[at] == hello[at] {
						at++
					}
					t.Errorf("%s: from byte %d on: %q became %q (%v)", tt.name, at, hello[max(at-40, 0):], got[max(at-40, 0):], w.events)
				}
			} else if !w.s.Opaque() {
				t.Fatalf("%s: not opaque", tt.name)
			}
		}
		if changed*100 > n*tt.most {
			t.Errorf("%s: %d of %d handshakes were changed", tt.name, changed, n)
		}
	}
}

// graphicOf is what is left to a server that skips all bytes that are not graphic.
func graphicOf(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, b)
}

// insist sends a segment of the client's until it passes, as TCP does.
func (w *wire) insist(b string) {
	w.t.Helper()
	seq := w.seq[FromClient]
	w.seq[FromClient] += uint32(len(b))
	for range 3 {
		if n := len(w.got[FromClient]); len(w.segment(FromClient, seq, b)) > 0 && len(w.got[FromClient]) > n {
			return
		}
		w.now = w.now.Add(time.Second)
	}
}
