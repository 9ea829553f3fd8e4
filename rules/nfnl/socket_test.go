package nfnl

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Socket {
	t.Helper()
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestAnswer sends what the kernel refuses to everyone: a message of a subsystem that there is not.
func TestAnswer(t *testing.T) {
	s := open(t)
	if err := errors.Join(s.Timeout(time.Second), s.NoENOBUFS(), s.Buffer(1<<20)); err != nil {
		t.Fatal(err)
	}
	b := Append(nil, Header{Subsystem: 200, Seq: 5})
	body := []byte{5, 0, 1, 0, 42} // an attribute
	Finish(b, len(body)+Padding(len(body)))
	if err := s.Send(b, body); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	n, err := s.Receive(buf)
	if err != nil {
		t.Fatal(err)
	}
	m, rest, ok := Next(buf[:n])
	if !ok || m.Type != unix.NLMSG_ERROR || m.Seq != 5 || m.Err() == nil || len(rest) > 0 {
		t.Errorf("got %+v, error %v, %d bytes left", m, m.Err(), len(rest))
	}
}

func TestTimeout(t *testing.T) {
	s := open(t)
	if err := s.Timeout(10 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(make([]byte, 16)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("want EAGAIN, got %v", err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Send([]byte{0}, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("want os.ErrClosed, got %v", err)
	}
}
