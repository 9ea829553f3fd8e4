package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestReload changes the helper's configuration by SIGHUP while sessions run: the new one is in force for them, none of
// them fails, and a wrong one is refused and changes nothing.
func TestReload(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	stop, wait := make(chan struct{}), sync.WaitGroup{}
	transfers := make([]int, 4)
	for i := range transfers {
		s := f.dial(t, v, netip.Addr{}, configs.Families[i%2])
		wait.Go(func() {
			modes := client.Modes(configs.Families[i%2])
			for {
				select {
				case <-stop:
					return
				default:
				}
				var got bytes.Buffer
				if _, err := s.Download(t.Context(), modes[transfers[i]%len(modes)], "file", &got); err != nil {
					t.Errorf("session %d, transfer %d: %v", i, transfers[i], err)
					return
				}
				transfers[i]++
			}
		})
	}

	s := f.dial(t, v, netip.Addr{}, configs.IPv4)
	third := netip.MustParseAddrPort("198.51.100.99:50000")
	wantRefused := func(want bool) {
		t.Helper()
		before := f.figures(t).Refusals["third_party"]
		_ = s.Active(client.PORT, third) // what the server thinks of it is its own affair
		if got := f.figures(t).Refusals["third_party"] > before; got != want {
			t.Errorf("a third party is refused: %t, want %t", got, want)
		}
	}
	wantRefused(true)
	good := f.config()
	relaxed := strings.Replace(good, "    application: ftp-control\n", "    application: ftp-control\n    fxp: allow\n", 1)
	for i := range 5 {
		must(t, f.ftpvip.Configure(relaxed))
		f.hangup(t, "configuration reloaded", 2*i+1)
		wantRefused(false)
		must(t, f.ftpvip.Configure(good))
		f.hangup(t, "configuration reloaded", 2*i+2)
		wantRefused(true)
	}
	must(t, f.ftpvip.Configure(relaxed))
	f.hangup(t, "configuration reloaded", 11)

	must(t, f.ftpvip.Configure(strings.Replace(good, "fxp: allow", "fxp: maybe", 1)+"nonsense: 1\n"))
	f.hangup(t, "the new configuration is refused", 1)
	if line := f.logged(t, "the new configuration is refused"); !strings.Contains(line, "nonsense") {
		t.Errorf("the log does not say what is wrong: %s", line)
	}
	wantRefused(false)
	close(stop)
	wait.Wait()
	for i, n := range transfers {
		if n < 5 {
			t.Errorf("session %d had %d transfers meanwhile", i, n)
		}
	}
	must(t, s.Noop())
}

// hangup sends SIGHUP and waits until the helper has logged something so many times.
func (f *farm) hangup(t *testing.T, message string, times int) {
	t.Helper()
	must(t, f.helper.Signal(unix.SIGHUP))
	eventually(t, fmt.Sprintf("the helper logs %q %d times", message, times), func() bool {
		return strings.Count(f.helper.Stderr(), message) == times
	})
}
