package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// storm is how many sessions run at the same time while the helper is killed.
const storm = 200

// TestHelperKilledInAStorm kills the helper again and again under many sessions. All of them complete: those that are
// in the middle of something, those that are silent, and those that begin while no helper is there.
func TestHelperKilledInAStorm(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(string(carrier), func(t *testing.T) {
			f := newFarm(t, arrangement{carrier: carrier, clients: 4})
			v := f.vips[0]
			want := content("storm", 20_000)
			v.put(t, "storm", want)

			// Three of four sessions are there, all at the same time, before the first kill.
			const early = storm * 3 / 4
			var done, orphans atomic.Int32
			var ready, wait sync.WaitGroup
			begin := make(chan struct{})
			session := func(i int, start func()) {
				wait.Go(func() {
					if err := stormSession(t.Context(), f, v, i, want, start); err != nil {
						t.Errorf("session %d: %v", i, err)
						return
					}
					done.Add(1)
				})
			}
			for i := range early {
				ready.Add(1)
				once := sync.OnceFunc(ready.Done)
				session(i, func() { once(); <-begin })
				if i%8 == 7 {
					time.Sleep(5 * time.Millisecond) // a server's backlog is short
				}
			}
			ready.Wait()
			if n := f.figures(t).SessionsCurrent; n != early {
				t.Errorf("%d sessions run, want %d", n, early)
			}
			close(begin)

			// The others begin while no helper is there.
			const kills = 5
			for n := range kills {
				time.Sleep(100 * time.Millisecond)
				f.helper.Kill()
				for i := early + n*(storm-early)/kills; i < early+(n+1)*(storm-early)/kills; i++ {
					orphans.Add(1)
					session(i, func() {})
				}
				time.Sleep(100 * time.Millisecond) // systemd's RestartSec
				f.startHelper(t)
			}
			wait.Wait()
			if done.Load() != storm {
				t.Errorf("%d of %d sessions completed", done.Load(), storm)
			}
			t.Logf("%d sessions completed, %d of which began without a helper", done.Load(), orphans.Load())
		})
	}
}

// stormSession is a session with a few transfers, in a mode that goes with its number. When it has logged in it calls
// start, which may keep it.
func stormSession(ctx context.Context, f *farm, v *vip, i int, want []byte, start func()) error {
	family := configs.Families[i%2]
	modes := client.Modes(family)
	mode := modes[(i/2)%len(modes)]
	from := f.ClientAddrs[i%len(f.ClientAddrs)].Of(family)
	defer start() // nobody waits for a session that failed
	s, err := client.Dial(ctx, f.Client, from, v.at(family))
	if err != nil {
		return fmt.Errorf("%s, IPv%d: %w", mode, family, err)
	}
	defer s.Abandon()
	start()
	for n := range 3 {
		var got bytes.Buffer
		if _, err := s.Download(ctx, mode, "storm", &got); err != nil {
			return fmt.Errorf("%s, IPv%d, transfer %d: %w", mode, family, n, err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			return fmt.Errorf("%s, IPv%d, transfer %d: other bytes", mode, family, n)
		}
	}
	return s.Noop()
}

// TestLossyWire loses control packets on their way, in both directions and before and after the helper has seen
// them: TCP sends them again, and each gets the very bytes that the first sending got.
func TestLossyWire(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	want := content("lossy", 10_000)
	v.put(t, "lossy", want)
	const loss = `table inet wire {
	chain in { type filter hook input priority -300; tcp sport 21 @ih,0,8 0-255 numgen random mod 100 < 15 counter drop; }
	chain out { type filter hook output priority 300; tcp dport 21 @ih,0,8 0-255 numgen random mod 100 < 15 counter drop; }
}
`
	r, err := f.Client.Run(t.Context(), lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(loss)})
	must(t, err)
	if r.Code != 0 {
		t.Fatalf("losing packets: %s", r)
	}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			family := configs.Families[i%2]
			modes := client.Modes(family)
			mode := modes[(i/2)%len(modes)]
			s, err := client.Dial(t.Context(), f.Client, netip.Addr{}, v.at(family))
			if err != nil {
				t.Errorf("session %d: %v", i, err)
				return
			}
			defer s.Abandon()
			for range 2 {
				var got bytes.Buffer
				if _, err := s.Download(t.Context(), mode, "lossy", &got); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("session %d, %s, IPv%d: %d bytes, %v", i, mode, family, got.Len(), err)
					return
				}
			}
			if _, err := s.Upload(t.Context(), mode, fmt.Sprintf("%s/lossy%d", server.UploadDir, i), bytes.NewReader(want)); err != nil {
				t.Errorf("session %d, %s, IPv%d: upload: %v", i, mode, family, err)
			}
		})
	}
	wait.Wait()
	r, err = f.Client.Run(t.Context(), lab.Command{Args: []string{"nft", "list", "table", "inet", "wire"}})
	must(t, err)
	if strings.Contains(r.Stdout, "packets 0 ") || !strings.Contains(r.Stdout, "counter packets") {
		t.Errorf("the wire lost nothing in one direction: %s", r)
	}
}
