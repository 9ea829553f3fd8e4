package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftpvip/health/judge"
)

// loopback lists one address of each family; both exist on every Linux host that this program runs on.
var loopback = []string{"127.0.0.1", "::1"}

// serve starts a server on host that gives each connection to handle. It returns the server's address.
func serve(t *testing.T, host string, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		wg.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// closedPort returns an address of host where nothing listens.
func closedPort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

// deafPort returns an address whose kernel answers no SYN: its queue of connections is full. It is what a
// dead host looks like.
func deafPort(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*syscall.SockaddrInet4).Port))
	for range 8 {
		conn, err := net.DialTimeout("tcp", addr.String(), 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of the listener never filled")
	return addr
}

// say returns a handler that sends text and closes once the client has sent something or has gone.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = c.Read(make([]byte, 64))
	}
}

// sayAndClose returns a handler that sends text and closes.
func sayAndClose(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

func repeat(text string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// patience returns a short timeout for a probe that is to run into it, and one that a busy machine cannot exhaust
// for the others.
func patience(reason string) time.Duration {
	if strings.Contains(reason, "within 300ms") {
		return 300 * time.Millisecond
	}
	return time.Minute
}

func TestFTPBanner(t *testing.T) {
	tests := []struct {
		name   string
		handle func(net.Conn)
		reason string // "" for OK
	}{
		{"OK one line", say("220 ready\r\n"), ""},
		{"OK bare LF", say("220 ready\n"), ""},
		{"OK bare code", say("220\r\n"), ""},
		{"OK no text", say("220 \r\n"), ""},
		{"OK many lines", say("220-Welcome\r\n220-to this server\r\n220 ready\r\n"), ""},
		{"OK many lines of anything", say("220-Welcome\r\n\r\n  421 not me\r\n421 nor me\r\n2200\r\n220ready\r\n220 ready\r\n"), ""},
		{"OK in pieces", func(c net.Conn) {
			for _, s := range []string{"2", "20", "-a\r", "\n22", "0 ", "b\r\n"} {
				time.Sleep(5 * time.Millisecond)
				_, _ = io.WriteString(c, s)
			}
			_, _ = c.Read(make([]byte, 64))
		}, ""},
		{"OK just under the line limit", say("220-" + strings.Repeat("x", maxLine-6) + "\r\n220 \r\n"), ""},
		{"bad 120", say("120 Service ready in 5 minutes\r\n"), `the server is not ready yet: it says 120 "Service ready in 5 minutes"`},
		{"bad 421", sayAndClose("421 Too many connections\r\n"), `the server takes no sessions now: it says 421 "Too many connections"`},
		{"bad 421 many lines", sayAndClose("421-Sorry\r\n421 bye\r\n"), `the server takes no sessions now: it says 421 "Sorry"`},
		{"bad 550", say("550 no\r\n"), `the greeting is 550 "no", not 220`},
		{"bad SSH", say("SSH-2.0-OpenSSH_9.2\r\n"), `this is no FTP server: it greets with "SSH-2.0-OpenSSH_9.2"`},
		{"bad binary", say("\x00\x1b[2J\xff\n"), `this is no FTP server: it greets with "\x00\x1b[2J\xff"`},
		{"bad silence", say(""), "connected, but no greeting within 300ms"},
		{"bad unfinished line", say("220 hel"), `the greeting was not complete within 300ms; its last line is "220 hel"`},
		{"bad unfinished lines", say("220-hello\r\n"), `the greeting was not complete within 300ms; its last line is "220-hello"`},
		{"bad closed at once", sayAndClose(""), "the server closed the connection without a greeting"},
		{"bad closed within", sayAndClose("220-hello\r\n220-"), `the server closed the connection within its greeting; the last line is "220-"`},
		{"bad reset", func(c net.Conn) {
			time.Sleep(20 * time.Millisecond) // let the connection be
			_ = c.(*net.TCPConn).SetLinger(0)
		}, "the server reset the connection without a full greeting"},
		{"bad endless line", repeat("220 and on "), "the greeting is endless: a line of more than 4096 bytes"},
		{"bad endless lines", repeat("220-and on\r\n"), "the greeting is endless: a reply of more than 65536 bytes"},
		{"bad long text", say("421 " + strings.Repeat("y", 200) + "\r\n"), `the server takes no sessions now: it says 421 "` + strings.Repeat("y", 80) + `..."`},
	}
	for _, tt := range tests {
		for _, host := range loopback {
			t.Run(tt.name+" "+host, func(t *testing.T) {
				t.Parallel()
				addr := serve(t, host, tt.handle)
				timeout := patience(tt.reason)
				start := time.Now()
				r := FTPBanner(t.Context(), Target{Addr: addr, Timeout: timeout})
				if d := time.Since(start); d > timeout+time.Second {
					t.Errorf("took %v with a timeout of %v", d, timeout)
				}
				if r.Reason != tt.reason || r.OK() != (tt.reason == "") {
					t.Errorf("step %q, reason %q; want reason %q", r.Step, r.Reason, tt.reason)
				}
				if !r.OK() && r.Step != judge.StepBanner {
					t.Errorf("step %q, want %q", r.Step, judge.StepBanner)
				}
				if r.Took <= 0 {
					t.Error("no duration")
				}
			})
		}
	}
}

// TestFTPBannerQuits sees the probe leave as a client should: QUIT, then the server closes, no reset.
func TestFTPBannerQuits(t *testing.T) {
	got := make(chan string, 1)
	addr := serve(t, "127.0.0.1", func(c net.Conn) {
		_, _ = io.WriteString(c, "220 ready\r\n")
		b := make([]byte, 64)
		n, _ := c.Read(b)
		_, _ = io.WriteString(c, "221 bye\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_, err := c.Read(b)
		got <- fmt.Sprintf("%s%v", b[:n], err)
	})
	if r := FTPBanner(t.Context(), Target{Addr: addr, Timeout: 5 * time.Second}); !r.OK() {
		t.Fatal(r.Reason)
	}
	if s := <-got; s != "QUIT\r\nEOF" {
		t.Errorf("the server saw %q", s)
	}
}

// TestFTPBannerGoodbye bounds the wait for a server that never says good-bye, and keeps it out of the latency.
func TestFTPBannerGoodbye(t *testing.T) {
	addr := serve(t, "127.0.0.1", func(c net.Conn) {
		_, _ = io.WriteString(c, "220 ready\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	start := time.Now()
	r := FTPBanner(t.Context(), Target{Addr: addr, Timeout: time.Minute})
	if d := time.Since(start); !r.OK() || d > quitWait+2*time.Second || r.Took >= quitWait {
		t.Errorf("%+v after %v", r, d)
	}
}

func TestConnect(t *testing.T) {
	open := serve(t, "127.0.0.1", say("220 ready\r\n"))
	closed4, closed6, deaf := closedPort(t, "127.0.0.1"), closedPort(t, "::1"), deafPort(t)
	stranger := netip.MustParseAddr("192.0.2.254")
	refused := func(a netip.AddrPort) string {
		return fmt.Sprintf("connection refused: nothing listens on port %d, or a firewall rejects it", a.Port())
	}
	tests := []struct {
		name   string
		target Target
		step   judge.Step
		reason string
		err    error
	}{
		{"OK", Target{Addr: open}, judge.StepNone, "", nil},
		{"OK from a source", Target{Addr: open, Source: netip.MustParseAddr("127.0.0.9")}, judge.StepNone, "", nil},
		{"bad closed", Target{Addr: closed4}, judge.StepConnect, refused(closed4), syscall.ECONNREFUSED},
		{"bad closed IPv6", Target{Addr: closed6}, judge.StepConnect, refused(closed6), syscall.ECONNREFUSED},
		{"bad deaf", Target{Addr: deaf}, judge.StepConnect, "no answer within 300ms: the host is down, or a firewall drops the packets", nil},
		{"bad source", Target{Addr: open, Source: stranger}, judge.StepLocal, "the source 192.0.2.254 is not an address of this host; see `ip addr`", syscall.EADDRNOTAVAIL},
	}
	for name, probe := range map[string]Func{"tcp": TCP, "ftp-banner": FTPBanner} {
		for _, tt := range tests {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				timeout := patience(tt.reason)
				tt.target.Timeout = timeout
				start := time.Now()
				r := probe(t.Context(), tt.target)
				if d := time.Since(start); d > timeout+time.Second {
					t.Errorf("took %v with a timeout of %v", d, timeout)
				}
				if r.Step != tt.step || r.Reason != tt.reason {
					t.Errorf("%s: %s\nwant %s: %s", r.Step, r.Reason, tt.step, tt.reason)
				}
				if tt.err != nil && !errors.Is(r.Err, tt.err) {
					t.Errorf("the cause is %v, want %v", r.Err, tt.err)
				}
			})
		}
	}
}

// TestExplainDial covers the errors that need another network than a test has.
func TestExplainDial(t *testing.T) {
	target := Target{Addr: netip.MustParseAddrPort("10.2.0.11:21"), Timeout: 3 * time.Second}
	tests := []struct {
		err    error
		step   judge.Step
		reason string
	}{
		{syscall.ENETUNREACH, judge.StepConnect, "network is unreachable: this host has no route to 10.2.0.11; see `ip route get 10.2.0.11`"},
		{syscall.EHOSTUNREACH, judge.StepConnect, "host is unreachable: it is down, or a router or firewall turns us away; see `ip neigh show 10.2.0.11` and `ip route get 10.2.0.11`"},
		{syscall.EACCES, judge.StepConnect, "administratively prohibited by a route or a router; see `ip route get 10.2.0.11`"},
		{syscall.ECONNRESET, judge.StepConnect, "the server reset the connection at once"},
		{syscall.ETIMEDOUT, judge.StepConnect, "no answer within 3s: the host is down, or a firewall drops the packets"},
		{syscall.EMFILE, judge.StepLocal, "this host has no file descriptor left for the probe; raise LimitNOFILE of the unit"},
		{syscall.ENFILE, judge.StepLocal, "this host has no file descriptor left for the probe; raise LimitNOFILE of the unit"},
		{syscall.ENOMEM, judge.StepLocal, "this host has no memory left for the probe"},
		{syscall.EAFNOSUPPORT, judge.StepLocal, "this host cannot speak the address's family; see `sysctl net.ipv6.conf.all.disable_ipv6`"},
		{syscall.EADDRNOTAVAIL, judge.StepLocal, "this host has no address or no free port to reach 10.2.0.11 from; see `ip route get 10.2.0.11`"},
		{syscall.EPERM, judge.StepLocal, "this host does not permit the probe's connection; see IPAddressDeny and BPF filters of the unit"},
		{errors.New("odd"), judge.StepConnect, "dial tcp: odd"},
	}
	for _, tt := range tests {
		r := explainDial(target, &net.OpError{Op: "dial", Net: "tcp", Err: tt.err})
		if r.Step != tt.step || r.Reason != tt.reason || !errors.Is(r.Err, tt.err) {
			t.Errorf("%v: %s: %s", tt.err, r.Step, r.Reason)
		}
	}
}

// TestCancel ends a probe that waits, long before its timeout.
func TestCancel(t *testing.T) {
	silent := serve(t, "127.0.0.1", say(""))
	for name, target := range map[string]netip.AddrPort{"greeting": silent, "connect": deafPort(t)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			start := time.Now()
			r := FTPBanner(ctx, Target{Addr: target, Timeout: time.Minute})
			if d := time.Since(start); r.OK() || d > 2*time.Second {
				t.Errorf("%+v after %v", r, d)
			}
		})
	}
}

func TestImplicitTLSHint(t *testing.T) {
	r := explainRead(Target{Addr: netip.MustParseAddrPort("10.2.0.11:990"), Timeout: time.Second},
		&brokenReply{err: context.DeadlineExceeded})
	if !strings.Contains(r.Reason, "expects TLS first") {
		t.Error(r.Reason)
	}
}
