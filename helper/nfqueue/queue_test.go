package nfqueue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/packet"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
	"ftpvip/tests/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// number is the queue under test.
const number = 2100

// world is a lab whose balancer queues what goes through a control connection to a server that says everything back.
type world struct {
	*lab.Lab
	queue *Queue
	conn  net.Conn // of the client

	packet atomic.Pointer[func(id uint32, p *packet.Packet) error] // what becomes of a packet; nil: it is accepted
	errs   chan error                                              // what the queue's Error got
	gone   chan struct{}                                           // and its Gone
}

func newWorld(t testing.TB) *world {
	t.Helper()
	lab.Require(t, lab.Root)
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	l, err := lab.New(context.Background(), lab.Options{Backends: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Lab: l, errs: make(chan error, 16), gone: make(chan struct{}, 16)}
	t.Cleanup(func() { check(t, l.Close()) })
	check(t, w.apply())
	w.bind(t)
	t.Cleanup(func() { check(t, w.queue.Close()) })
	w.connect(t)
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// apply makes the balancer's rules.
func (w *world) apply() error {
	cfg := &configs.Config{
		Helper: configs.Helper{Queues: 1, FirstQueue: number},
		VIPs: []configs.VIP{{
			Name: "farm", Addrs: w.VIPs[0], Port: 21, Application: configs.FTPControl,
		}},
		Pools: []configs.Pool{{
			Name: "farm", Scheduler: configs.SourceHash, SNAT: configs.SNAT{Mode: configs.SNATNone},
			Backends: []configs.Backend{{Name: "echo", Addrs: w.Backends[0].Addrs, Port: 21, Weight: 10}},
		}},
	}
	cfg.VIPs[0].Pool = &cfg.Pools[0]
	cfg.Link()
	return w.Balancer.Do(func() error {
		k, err := kernel.Open()
		if err != nil {
			return err
		}
		want := rules.Build(cfg, rules.State{}, rules.SaneHelperName)
		have, err := k.Read(want)
		if err == nil {
			err = k.Commit(rules.Diff(have, want))
		}
		return errors.Join(err, k.Close())
	})
}

// bind opens the queue.
func (w *world) bind(t testing.TB) {
	t.Helper()
	q, err := w.open()
	check(t, err)
	w.queue = q
	check(t, q.Bind(64, Handler{
		Packet: w.handle, Error: func(err error) { w.errs <- err }, Gone: func() { w.gone <- struct{}{} },
	}))
}

func (w *world) open() (q *Queue, err error) {
	err = w.Balancer.Do(func() error {
		q, err = Open(number)
		return err
	})
	return q, err
}

func (w *world) handle(id uint32, b []byte) {
	f := w.packet.Load()
	if f == nil {
		w.note(w.queue.Accept(id))
		return
	}
	p, err := packet.Parse(b)
	w.note(err)
	w.note((*f)(id, &p))
}

func (w *world) note(err error) {
	if err != nil {
		w.errs <- err
	}
}

// decide sets what becomes of packets with payload text; others are accepted.
func (w *world) decide(text string, f func(id uint32, p *packet.Packet) error) {
	g := func(id uint32, p *packet.Packet) error {
		if string(p.Payload) != text {
			return w.queue.Accept(id)
		}
		return f(id, p)
	}
	w.packet.Store(&g)
}

// connect makes the control connection.
func (w *world) connect(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	l, err := w.Backends[0].Listen(ctx, netip.AddrPortFrom(w.Backends[0].Addrs.V4, 21))
	check(t, err)
	ended, accepted := make(chan struct{}), make(chan net.Conn, 1)
	go func() {
		defer close(ended)
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		accepted <- c
		defer c.Close()
		b := make([]byte, 512)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	w.conn, err = w.Client.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(w.VIPs[0].V4, 21))
	check(t, err)
	t.Cleanup(func() {
		_ = w.conn.Close()
		_ = l.Close()
		select {
		case c := <-accepted:
			_ = c.Close() // without a reader of the queue the client's end does not come through
		default:
		}
		<-ended
	})
}

// say sends text and returns what comes back.
func (w *world) say(t testing.TB, text string) string {
	t.Helper()
	check(t, w.conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(w.conn, text)
	check(t, err)
	b := make([]byte, len(text))
	_, err = io.ReadFull(w.conn, b)
	check(t, err)
	return string(b)
}

func (w *world) quiet(t testing.TB) {
	t.Helper()
	select {
	case err := <-w.errs:
		t.Errorf("unexpected: %v", err)
	default:
	}
}

func TestVerdicts(t *testing.T) {
	w := newWorld(t)
	t.Run("accept", func(t *testing.T) {
		if got := w.say(t, "as it is\n"); got != "as it is\n" {
			t.Errorf("got %q", got)
		}
	})
	for _, text := range []string{"one\n", "three\n", "replace\n", "replaced\n"} { // every length modulo 4
		t.Run("replace "+text[:len(text)-1], func(t *testing.T) {
			w.decide(text, func(id uint32, p *packet.Packet) error {
				if err := p.SetPayload(bytes.ToUpper(p.Payload)); err != nil {
					return err
				}
				return w.queue.Replace(id, p.Bytes())
			})
			if got := w.say(t, text); got != string(bytes.ToUpper([]byte(text))) {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("drop", func(t *testing.T) {
		var copies atomic.Int32
		w.decide("twice\n", func(id uint32, _ *packet.Packet) error {
			if copies.Add(1) == 1 {
				return w.queue.Drop(id)
			}
			return w.queue.Accept(id)
		})
		if got := w.say(t, "twice\n"); got != "twice\n" || copies.Load() < 2 {
			t.Errorf("got %q after %d copies", got, copies.Load())
		}
	})
	t.Run("later, by another goroutine", func(t *testing.T) {
		const wait = 50 * time.Millisecond
		w.decide("later\n", func(id uint32, _ *packet.Packet) error {
			time.AfterFunc(wait, func() { w.note(w.queue.Accept(id)) })
			return nil
		})
		begin := time.Now()
		if got := w.say(t, "later\n"); got != "later\n" || time.Since(begin) < wait {
			t.Errorf("got %q after %v", got, time.Since(begin))
		}
	})
	w.quiet(t)
}

// TestGone checks that a verdict on a packet that is not there any more is told, is no error, and stops nothing.
func TestGone(t *testing.T) {
	w := newWorld(t)
	check(t, w.queue.Accept(12345))
	select {
	case <-w.gone:
	case err := <-w.errs:
		t.Errorf("it is told as an error: %v", err)
	case <-time.After(5 * time.Second):
		t.Error("nothing is told")
	}
	if got := w.say(t, "on we go\n"); got != "on we go\n" {
		t.Errorf("got %q", got)
	}
}

// TestTaken checks that a queue has one reader.
func TestTaken(t *testing.T) {
	w := newWorld(t)
	q, err := w.open()
	check(t, err)
	err = q.Bind(64, Handler{Packet: func(uint32, []byte) {}, Error: func(err error) { t.Error(err) }})
	if !errors.Is(err, ErrTaken) || errors.Is(err, unix.EPERM) {
		t.Errorf("want ErrTaken, got %v", err)
	}
	check(t, q.Close())
	if got := w.say(t, "still mine\n"); got != "still mine\n" {
		t.Errorf("got %q", got)
	}
	w.quiet(t)
}

// TestDeviceDown checks that a packet whose device goes down while it waits is gone, and that the connection goes on when
// the device is back.
func TestDeviceDown(t *testing.T) {
	w := newWorld(t)
	held := make(chan uint32, 16)
	w.decide("held\n", func(id uint32, _ *packet.Packet) error {
		held <- id
		return nil
	})
	check(t, w.conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err := io.WriteString(w.conn, "held\n")
	check(t, err)
	id := <-held
	w.packet.Store(nil)
	for _, state := range []string{"down", "up"} {
		r, err := w.Balancer.Run(t.Context(), lab.Command{Args: []string{"ip", "link", "set", "lan0", state}})
		check(t, err)
		if r.Code != 0 {
			t.Fatal(r)
		}
	}
	check(t, w.queue.Accept(id))
	select {
	case <-w.gone:
	case err := <-w.errs:
		t.Errorf("it is told as an error: %v", err)
	case <-time.After(5 * time.Second):
		t.Error("nothing is told")
	}
	b := make([]byte, 5)
	_, err = io.ReadFull(w.conn, b)
	check(t, err)
	w.quiet(t)
}

// TestNotAllowed checks that a program that may not use queues is told so, and not that another has the queue.
func TestNotAllowed(t *testing.T) {
	w := newWorld(t)
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, because it has lost its capabilities
		ended <- func() error {
			q, err := w.open()
			if err != nil {
				return err
			}
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			if err := unix.Capset(&header, &make([]unix.CapUserData, 2)[0]); err != nil {
				return err
			}
			err = q.Bind(64, Handler{Packet: func(uint32, []byte) {}, Error: func(error) {}})
			return errors.Join(err, q.Close())
		}()
	}()
	if err := <-ended; !errors.Is(err, unix.EPERM) || errors.Is(err, ErrTaken) {
		t.Errorf("want EPERM, got %v", err)
	}
	w.quiet(t)
}

// TestAgain checks that a connection waits for the next reader, and gets it while packets come.
func TestAgain(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		check(t, w.queue.Close())
		if err := w.queue.Accept(1); !errors.Is(err, os.ErrClosed) {
			t.Errorf("want os.ErrClosed, got %v", err)
		}
		check(t, w.conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err := io.WriteString(w.conn, "wait\n") // the first copy of it is dropped
		check(t, err)
		w.bind(t)
		b := make([]byte, 5)
		_, err = io.ReadFull(w.conn, b)
		check(t, err)
	}
	w.quiet(t)
}

// TestStopped checks that Stop ends the reader without waiting, and that Close may follow.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		w.queue.Stop()
	}
	select {
	case <-w.queue.done:
	case <-time.After(5 * time.Second):
		t.Error("the reader goes on")
	}
	unbound, err := w.open()
	check(t, err)
	check(t, unbound.Close()) // was never bound
	w.quiet(t)
}

// BenchmarkPassed is a command and its answer, through the kernel's whole way: two packets that pass. It must not
// allocate.
func BenchmarkPassed(b *testing.B) {
	w := newWorld(b)
	line, answer := []byte("NOOP\r\n"), make([]byte, 64)
	trip := func() {
		if _, err := w.conn.Write(line); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(w.conn, answer[:len(line)]); err != nil {
			b.Fatal(err)
		}
	}
	for range 1000 {
		trip()
	}
	b.ReportAllocs()
	for b.Loop() {
		trip()
	}
}
