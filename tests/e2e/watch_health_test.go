package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// TestHealthWatch runs the watch beside a server that dies and comes back: the slots follow within its intervals, a
// command is run for each change, and a one-shot round ends at once meanwhile.
func TestHealthWatch(t *testing.T) {
	f := newFarm(t, arrangement{clients: 8, health: []string{
		"interval: 200ms", "interval_down: 100ms",
		`notify: [/bin/sh, -c, 'echo "$FTPVIP_BACKEND $FTPVIP_FROM $FTPVIP_TO" >> ` + filepath.Join(os.TempDir(), "told") + `']`,
	}})
	v := f.vips[0]
	prom := filepath.Join(f.Dir, "ftpvip.prom")
	watch, err := f.Balancer.Start(f.Context(), lab.Command{Args: []string{
		f.ftpvip.Path, "--config", f.ftpvip.Config, "--state-dir", f.ftpvip.State, "health", "--watch", "--textfile", prom,
	}})
	must(t, err)
	eventually(t, "the first look", func() bool {
		b, err := os.ReadFile(prom)
		return err == nil && strings.Count(string(b), "check_success{") == 2 && !strings.Contains(string(b), "up{pool=\"embedded\",backend=\"backend1\"} -1")
	})
	if r := f.do(t, "health"); r.Stdout != "" || !strings.Contains(r.Stderr, "this one ends at once") {
		t.Errorf("a second round beside the watch: %s", r)
	}

	before := f.landings(t, v)
	v.servers[0].Kill()
	died := time.Now()
	eventually(t, "the dead server's clients moved", func() bool { return f.allOn(t, v, before, v.servers[1].Name) })
	t.Logf("the slots moved %v after the death", time.Since(died).Round(time.Millisecond))
	f.exits(t, 0, "diff")
	_, err = server.Start(t.Context(), f.Lab, v.Backends[0], server.Embedded, v.servers[0].Name)
	must(t, err)
	eventually(t, "everybody is back", func() bool {
		held := f.nft(t, "list", "map", "inet", "ftpvip", "slots4-embedded")
		return strings.Contains(held, v.Backends[0].Addrs.V4.String()+" . 21")
	})

	must(t, watch.Signal(syscall.SIGHUP))
	eventually(t, "the configuration is read again", func() bool { return strings.Contains(watch.Stderr(), "configuration reloaded") })
	must(t, watch.Signal(syscall.SIGTERM))
	r, err := watch.Wait(soon(t))
	must(t, err)
	if r.Code != 0 {
		t.Errorf("the watch ended with %s", r)
	}
	told, err := os.ReadFile(filepath.Join(os.TempDir(), "told"))
	must(t, err)
	if want := "backend1 up down\nbackend1 down up\n"; string(told) != want {
		t.Errorf("told %q, want %q", told, want)
	}
	history := f.do(t, "health", "--history").Stdout
	for _, want := range []string{
		"embedded/backend1: up -> down: connect: ", "takes no new clients; notified by /bin/sh", "embedded/backend1: down -> up; takes new clients",
	} {
		if !strings.Contains(history, want) {
			t.Errorf("no %q in the history\n%s", want, history)
		}
	}
	if s := f.do(t, "status").Stdout; strings.Contains(s, "LATE") {
		t.Errorf("late just after a round:\n%s", s)
	}
}

// allOn reports whether the clients, one of each server, all land on one server now. A connection may be refused meanwhile.
func (f *farm) allOn(t *testing.T, v *vip, before map[netip.Addr]string, name string) bool {
	t.Helper()
	held := f.nft(t, "list", "map", "inet", "ftpvip", "slots4-embedded") + f.nft(t, "list", "map", "inet", "ftpvip", "slots6-embedded")
	for _, s := range v.servers {
		for _, a := range s.Backend.Addrs.All() {
			if s.Name != name && strings.Contains(held, fmt.Sprintf(" : %s . 21", a)) {
				return false
			}
		}
	}
	for from := range before {
		if got := f.landing(t, v, from); got != name {
			t.Errorf("%s lands on %s", from, got)
		}
	}
	return true
}
