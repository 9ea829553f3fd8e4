package admit

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// crowd is a listener for two, and a way to connect to it.
func crowd(t *testing.T) (accept func() *Conn, dial func() net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, 2)
	t.Cleanup(func() { _ = l.Close() })
	accept = func() *Conn {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.(*Conn)
	}
	dial = func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	return accept, dial
}

// closed reports whether the other end has closed; it waits for what must come.
func closed(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	n, err := c.Read(b)
	if n == 0 && errors.Is(err, io.EOF) {
		return true
	}
	if n != 1 {
		t.Fatal(err)
	}
	return false
}

func TestOldestIsReplaced(t *testing.T) {
	accept, dial := crowd(t)
	first, second, third := dial(), dial(), dial()
	a, b, c := accept(), accept(), accept()
	if !closed(t, first) {
		t.Error("the oldest is still open")
	}
	for i, conn := range []*Conn{b, c} {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if closed(t, []net.Conn{second, third}[i]) {
			t.Errorf("connection %d is closed", i+2)
		}
	}
	if err := a.Close(); err != nil {
		t.Errorf("closing what was replaced: %v", err)
	}
}

func TestBusyStays(t *testing.T) {
	accept, dial := crowd(t)
	first, second := dial(), dial()
	a, b := accept(), accept()
	a.Busy(true)
	third := dial()
	c := accept()
	if !closed(t, second) {
		t.Error("the oldest without work is still open")
	}
	c.Busy(true)
	refused := dial()
	late := make(chan *Conn)
	go func() { late <- accept() }()
	if !closed(t, refused) {
		t.Error("a newcomer is open, though there is work for all")
	}
	if err := a.Close(); err != nil { // makes room
		t.Error(err)
	}
	if !closed(t, first) {
		t.Error("the first is open")
	}
	dial()
	d := <-late
	if _, err := c.Write([]byte("x")); err != nil || closed(t, third) {
		t.Error("the third is closed:", err)
	}
	_, _ = b.Close(), d.Close()
}
