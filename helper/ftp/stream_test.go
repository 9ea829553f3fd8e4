package ftp

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTLSThenGarbage(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	seq := w.seq[FromServer]
	w.server("234 go on\r\n")
	if w.s.Opaque() {
		t.Fatal("opaque before the server has begun TLS")
	}
	w.toClient()
	w.client("\x16\x03\x01\x02\x00\x01\x00")
	w.server("\x16\x03\x03\x00\x7a\x02\x00")
	if !w.s.Opaque() || !w.s.Stats().TLS {
		t.Fatal("not opaque")
	}
	w.segment(FromServer, seq, "234 go on\r\n") // once more
	if !w.s.Opaque() {
		t.Fatal("readable through a retransmission")
	}
	for _, g := range []string{"\x00\x01PORT 10,2,0,99,195,80\r\n", "\r\n227 x (10,2,0,11,195,80)\r\n", strings.Repeat("\xa5\n", 700)} {
		w.client(g)
		w.server(g)
	}
	// Segments that the queue never shows leave gaps.
	w.seq[FromClient] += 1000
	w.seq[FromServer] += 3000
	w.toBackend()
	w.client("\x8a\x00garbage")
	eq(t, w.toBackend(), "\x8a\x00garbage")
	w.wantOpened(0)
	// CCC was said inside: in the clear from here.
	w.client("PASV\r\n")
	if w.s.Opaque() {
		t.Fatal("still opaque")
	}
	w.toClient()
	w.server("227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
	eq(t, w.toClient(), "227 Entering Passive Mode (192,0,2,10,195,80)\r\n")
	w.wantOpened(1)
}

func TestTLSFailed(t *testing.T) {
	// A server that goes on in the clear after a failed handshake.
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	w.server("234 go on\r\n")
	w.client("\x16\x03\x01nonsense")
	w.server("550 TLS handshake failed\r\n")
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonUnsynced)
}

func TestAUTHRefused(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	w.server("502 no\r\n")
	w.server("234 what?\r\n")
	if w.s.Opaque() {
		t.Fatal("opaque")
	}
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonThirdParty)
}

func TestImplicitTLS(t *testing.T) {
	w := wireFrom(t, ends4(), Policy{}, Fresh)
	w.client("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	w.server("\x16\x03\x03\x00\x7a\x02\x00")
	if !w.s.Opaque() || !w.s.Stats().TLS {
		t.Error("not opaque")
	}
	// But a server that greets in the clear gives it away.
	w = wireFrom(t, ends4(), Policy{}, Fresh)
	w.client("\x16\x03\x01\r\n")
	w.server("220 ready\r\n")
	w.client("PORT 10,2,0,99,195,80\r\n")
	w.wantRefused(ReasonUnsynced)
}

func TestRetransmissionAfterRewrite(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.pasv()
	seq := w.seq[FromServer]
	in := "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"
	w.server(in)
	first := w.toClient()
	for range 3 {
		w.segment(FromServer, seq, in)
		eq(t, w.toClient(), first)
	}
	w.segment(FromServer, seq+10, in[10:30])
	eq(t, w.toClient(), first[10:30])
	w.segment(FromServer, seq+30, in[30:]+"226 x\r\n")
	eq(t, w.toClient(), first[30:]+"226 x\r\n")
	w.wantOpened(1)

	w = greeted(t, oneArm4(), Policy{})
	seq = w.seq[FromClient]
	cmd := "PORT 203,0,113,9,195,80\r\n"
	w.client(cmd)
	first = w.toBackend()
	w.segment(FromClient, seq, cmd)
	eq(t, w.toBackend(), first)
	w.wantOpened(1)
	// A new helper makes the same choice.
	w2 := newWire(t, oneArm4(), Policy{})
	w2.client(cmd)
	eq(t, w2.toBackend(), first)
}

func TestRSTMidLine(t *testing.T) {
	// The connection is gone with a line half held: the daemon forgets the
	// session; nothing was opened, and what was held can still be let go.
	w := greeted(t, oneArm4(), Policy{})
	w.client("PORT 203,0,113,9,19")
	if len(w.held) != 1 {
		t.Fatal("not held")
	}
	w.wantOpened(0)
	w.expire(holdTime)
	w.wantNoneHeld()
	w.wantOpened(0)
}

func TestKeepaliveWithGarbage(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("NOOP\r\n")
	w.toBackend()
	w.segment(FromClient, w.seq[FromClient]-1, "\x00")
	eq(t, w.toBackend(), "\n")
}

func TestEarlySegments(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("NOOP\r\n")
	w.toBackend()
	first, second := "PORT 203,0,113,9,", "195,80\r\nNOOP\r\n"
	seq := w.seq[FromClient]
	w.segment(FromClient, seq+uint32(len(first)), second)
	eq(t, w.toBackend(), "")
	w.segment(FromClient, seq, first)
	w.segment(FromClient, seq+uint32(len(first)), second)
	eq(t, w.toBackend(), first+second)
	w.wantOpened(1)
}

// TestGapThatNeverFills: packets that never came this way must not stall the session for ever. What the server has
// taken it acknowledges; a client that repeats itself proves nothing.
func TestGapThatNeverFills(t *testing.T) {
	gap := func() (w *wire, seq uint32) {
		w = greeted(t, ends4(), Policy{})
		w.client("NOOP\r\n")
		w.toBackend()
		w.seq[FromClient] += 100
		seq = w.seq[FromClient]
		w.client("PASV\r\n")
		for range 5 {
			w.now = w.now.Add(time.Second)
			w.segment(FromClient, seq, "PASV\r\n")
		}
		eq(t, w.toBackend(), "")
		return w, seq
	}
	after := func(t *testing.T, w *wire, seq uint32) {
		w.segment(FromClient, seq, "PASV\r\n")
		if got := w.toBackend(); !strings.HasPrefix(got, "PASV\r\n") {
			t.Fatalf("%q", got)
		}
		w.toClient()
		w.server("227 x (10,2,0,11,195,80)\r\n")
		w.wantOpened(1)
		// What was missing is not let in later.
		w.segment(FromClient, seq-25, "PORT 203,0,113,9,195,80\r\n")
		if got := w.toBackend(); got != "" && w.rcv[FromClient] < seq {
			t.Errorf("%q passed", got)
		}
		w.wantOpened(1)
	}
	t.Run("the server has it", func(t *testing.T) {
		w, seq := gap()
		w.rcv[FromClient] = seq
		w.server("200 ok\r\n")
		after(t, w, seq)
	})
	t.Run("the client has answers to it", func(t *testing.T) {
		w, seq := gap()
		w.rcv[FromServer] += 20
		w.seq[FromServer] += 20
		for range 3 {
			w.segment(FromClient, seq, "PASV\r\n")
			w.now = w.now.Add(time.Second)
		}
		after(t, w, seq)
	})
	t.Run("in the server's stream", func(t *testing.T) {
		w := greeted(t, ends4(), Policy{})
		w.pasv()
		w.seq[FromServer] += 30
		seq := w.seq[FromServer]
		line := "227 x (10,2,0,11,195,80)\r\n"
		for range 4 {
			w.segment(FromServer, seq, line)
			w.now = w.now.Add(certainTime / 2)
		}
		if got := w.toClient(); strings.Contains(got, "10,2,0,11") || got == "" {
			t.Errorf("%q", got)
		}
	})
}

func TestHoleBeforeFirstCommand(t *testing.T) {
	// The verb's start, then less before it, with a hole: so that the rest of
	// the command could be mistaken for the start of a stream.
	w := greeted(t, ends4(), Policy{})
	seq := w.seq[FromClient]
	w.segment(FromClient, seq+10, "POR")
	w.expire(holdTime)
	w.segment(FromClient, seq, "NOOP\r\n")
	w.segment(FromClient, seq+6, "\r\n\r\n")
	for range 4 {
		w.now = w.now.Add(holdTime)
		w.segment(FromClient, seq+13, "T 10,2,0,99,195,80\r\n")
	}
	if got := w.toBackend(); strings.Contains(got, "T 10,2") {
		t.Errorf("%q passed", got)
	}
	w.wantOpened(0)
}

// TestRestBehindCipher: the end of a verb has gone on before the bytes that come before it. With them, in what looks like
// TLS, it is a verb, and its argument must not go on.
func TestRestBehindCipher(t *testing.T) {
	record := "\x17\x03\x03\x00\x04abcd\nPORT 10,2,1,12,8,174\r\n"
	at := bytes.Index([]byte(record), []byte("ORT"))
	w := wireFrom(t, ends4(), Policy{}, Fresh)
	w.segment(FromClient, 1000+uint32(at), "ORT")
	w.segment(FromServer, w.seq[FromServer], "220 ready\r\n")
	if got := w.toBackend(); got != "ORT" {
		t.Fatalf("%q has gone on, and the test wants that", got)
	}
	w.segment(FromClient, 1000, record)
	if got := w.toBackend(); bytes.Contains([]byte(got), []byte("10,2")) || !bytes.Contains([]byte(got), []byte("\nPORT")) {
		t.Errorf("%q went on", got)
	}
}

// TestVerbBeganBeforeCipher: the start of a verb has gone on when what comes before it makes the stream look like TLS.
func TestVerbBeganBeforeCipher(t *testing.T) {
	record := "\x14\x03\x03\x00\x04abcd\nNOOP\nPORT 10,2,1,12,8,174"
	at := bytes.Index([]byte(record), []byte("NOOP"))
	w := wireFrom(t, ends4(), Policy{}, Fresh)
	w.segment(FromClient, 1000+uint32(at), record[at:at+6]) // as far as P
	w.segment(FromServer, w.seq[FromServer], "220 ready\r\n")
	if got := w.toBackend(); got != "NOOP\nP" {
		t.Fatalf("%q has gone on, and the test wants that", got)
	}
	w.segment(FromClient, 1000, record)
	if got := w.toBackend(); bytes.Contains([]byte(got), []byte("10,2")) {
		t.Errorf("%q went on", got)
	}
}

// TestServerHasMore: the server acknowledges a byte that did not come this way. What the client sends at its place is a copy
// that the server does not look at, and not read.
func TestServerHasMore(t *testing.T) {
	w := newWire(t, ends4(), Policy{})
	w.segment(FromServer, w.seq[FromServer], "230 welcome\r\n")
	w.rcv[FromClient]++ // a P
	w.segment(FromServer, w.seq[FromServer], "230 welcome\r\n")
	for range 2 {
		w.segment(FromClient, 1000, "\no")
		w.segment(FromClient, 1001, "orT 10,2,1,12,8,1l4\r\n")
	}
	if got := w.toBackend(); bytes.Contains([]byte(got), []byte("10,2")) {
		t.Errorf("%q went on", got)
	}
}

// TestTLSBeforeAnswer: a client that does not wait for the answer to AUTH may have the server take its bytes for TLS, give up,
// and read the rest of a line as a command.
func TestTLSBeforeAnswer(t *testing.T) {
	for _, rest := range []string{"\x16\x03\x03\x00\x04abcdPORT 10,2,1,12,8,174\r\n", "\x16\x03\x03\x00\x06a\nbcdxPORT 10,2,1,12,8,174\r\n"} {
		w := greeted(t, ends4(), Policy{})
		w.client("AUTH TLS\r\n")
		w.client(rest)
		if got := w.toBackend(); bytes.Contains([]byte(got), []byte("10,2")) {
			t.Errorf("%q went on", got)
		}
	}
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\n")
	w.server("500 what?\r\n")
	w.toBackend()
	w.client("PORT 203,0,113,9,195,80\r\n")
	if got := w.toBackend(); got != "PORT 203,0,113,9,195,80\r\n" {
		t.Errorf("after AUTH was refused: %q", got)
	}
}

// TestVerbAcrossAnswers: a verb has gone on when the server, having accepted AUTH, answers in the clear, and accepts another one.
func TestVerbAcrossAnswers(t *testing.T) {
	w := greeted(t, ends4(), Policy{})
	w.client("AUTH TLS\r\nAUTH TLS\r\nAUTH TLS\r\nPORT ")
	w.server("234 go on\r\n")
	w.server("431 not TLS\r\n")
	w.server("234 go on\r\n")
	w.client("10,2,1,12,8,174\r\n")
	if got := w.toBackend(); bytes.Contains([]byte(got), []byte("10,2")) {
		t.Errorf("%q went on", got)
	}
}
