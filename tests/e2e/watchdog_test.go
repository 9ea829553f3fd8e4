package e2e

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// TestWatchdog runs the helper as systemd does, with a watchdog: the helper feeds it, idle and at work, and no longer
// when the loop of a queue is stuck.
func TestWatchdog(t *testing.T) {
	f := newFarm(t, arrangement{})
	_, err := f.helper.Stop(t.Context())
	must(t, err)
	dir, err := os.MkdirTemp("", "notify") // a socket's path must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "s")})
	must(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	notified := make(chan string, 1000)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := socket.Read(b)
			if err != nil {
				close(notified)
				return
			}
			notified <- strings.TrimSpace(string(b[:n]))
		}
	}()
	// await counts feedings for as long as a watchdog of 1.5 s would wait, and more.
	await := func() (fed int) {
		for end := time.After(3 * time.Second); ; {
			select {
			case what := <-notified:
				if what == "WATCHDOG=1" {
					fed++
				}
			case <-end:
				return fed
			}
		}
	}
	process, err := f.Balancer.Start(f.Context(), lab.Command{
		Args: []string{f.ftpvip.Path, "--config", f.ftpvip.Config, "--state-dir", f.ftpvip.State, "helper"},
		Env:  []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "s"), "WATCHDOG_USEC=1500000", "NO_COLOR=1"},
	})
	must(t, err)
	f.helper = &lab.Helper{Process: process}
	for ready := ""; ready != "READY=1"; {
		select {
		case ready = <-notified:
		case <-time.After(30 * time.Second):
			t.Fatal("the helper does not get ready")
		}
	}
	if fed := await(); fed < 3 {
		t.Errorf("idle, it feeds %d times in 3 s, want every 0.5 s", fed)
	}
	session := f.playServers(t, f.vips[0])
	e := session(netip.Addr{}, configs.IPv4)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b := make([]byte, 100)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_, err1 := e.client.Write([]byte("NOOP\r\n"))
			_, err2 := e.server.Read(b)
			if err1 != nil || err2 != nil {
				return
			}
		}
	}()
	if fed := await(); fed < 3 {
		t.Errorf("at work, it feeds %d times in 3 s, want every 0.5 s", fed)
	}
	close(stop)
	<-stopped

	must(t, process.Signal(unix.SIGSTOP)) // as stuck as can be
	await()                               // what is on its way
	if fed := await(); fed > 0 {
		t.Errorf("stopped, it feeds %d times", fed)
	}
	must(t, process.Signal(unix.SIGCONT))
	if fed := await(); fed < 3 {
		t.Errorf("going on, it feeds %d times in 3 s, want every 0.5 s", fed)
	}
}
