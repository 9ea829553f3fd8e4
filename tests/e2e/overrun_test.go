package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// Of the storm in TestQueueOverrun: more packets than a helper's socket has room for, many in each connection. TCP wants
// an answer after ten of them, unless the route says otherwise.
const (
	overrunSessions = 100
	overrunLines    = 130
)

// TestQueueOverrun sends the helper more packets than its queue holds while it does nothing at all. The kernel drops
// some, the helper says so, and nothing is lost: TCP sends them again.
func TestQueueOverrun(t *testing.T) {
	f := newFarm(t, arrangement{helper: "  queues: 1\n"})
	v := f.vips[0]
	f.initialWindow(t, v.VIP.V4, overrunLines)
	dial := f.playServersSilently(t, v)
	var all []*ends
	for range overrunSessions {
		all = append(all, dial(netip.Addr{}, configs.IPv4))
	}
	must(t, f.helper.Signal(unix.SIGSTOP))
	for _, e := range all {
		for range overrunLines {
			say(t, e.client, "NOOP\r\n")
		}
	}
	must(t, f.helper.Signal(unix.SIGCONT))
	var wait sync.WaitGroup
	for _, e := range all {
		wait.Go(func() { // a minute: TCP takes its time to send again
			if err := heard(e.server, strings.Repeat("NOOP\r\n", overrunLines), time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	line := f.logged(t, "the kernel dropped control packets, for TCP to send them again")
	if !strings.Contains(line, "helper.queues") {
		t.Errorf("the log does not say what to do: %s", line)
	}
	var dropped uint64
	for _, q := range f.figures(t).Queues {
		dropped += uint64(q.Dropped) + uint64(q.UserDropped)
	}
	if dropped == 0 {
		t.Error("the figures tell of no dropped packet")
	}
}

// initialWindow lets clients send so many packets before an answer comes.
func (f *farm) initialWindow(t *testing.T, to netip.Addr, packets int) {
	t.Helper()
	ip := func(arguments string) string {
		r, err := f.Client.Run(t.Context(), lab.Command{Args: append([]string{"ip"}, strings.Fields(arguments)...)})
		must(t, err)
		if r.Code != 0 {
			t.Fatal(r)
		}
		return r.Stdout
	}
	way, _, ok := strings.Cut(ip("route get "+to.String()), " src ")
	if !ok {
		t.Fatalf("no source address in the route: %s", way)
	}
	ip(fmt.Sprintf("route add %s initcwnd %d", way, packets))
}
