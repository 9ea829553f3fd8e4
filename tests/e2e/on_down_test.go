package e2e

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestOnDownReset has 20 idle sessions on each of two servers, whose host then falls silent for one: the round that takes it
// out resets its sessions, so that clients notice at once, and nobody else's.
func TestOnDownReset(t *testing.T) {
	const each = 20
	f := newFarm(t, arrangement{clients: 8, health: []string{"on_down: reset"}})
	v := f.vips[0]
	f.health(t, 1)
	landings := f.landings(t, v)
	sessions := map[string][]*client.Session{}
	for from, name := range landings {
		for range each {
			if len(sessions[name]) < each {
				sessions[name] = append(sessions[name], f.dial(t, v, from, configs.FamilyOf(from)))
			}
		}
	}
	victim, survivor := v.servers[0], v.servers[1]
	if len(sessions[victim.Name]) != each || len(sessions[survivor.Name]) != each {
		t.Fatalf("%d and %d sessions", len(sessions[victim.Name]), len(sessions[survivor.Name]))
	}
	filter(t, victim.Backend, "drop")
	f.health(t, fall)
	ended := time.Now()
	for i, s := range sessions[victim.Name] {
		if err := s.Noop(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("session %d on the silent server: %v, want a reset", i, err)
		}
	}
	if d := time.Since(ended); d > time.Second {
		t.Errorf("the clients noticed %v after the round", d)
	}
	for i, s := range sessions[survivor.Name] {
		if err := s.Noop(); err != nil {
			t.Errorf("session %d on the other server: %v", i, err)
		}
	}
	if history := f.do(t, "health", "--history").Stdout; !strings.Contains(history, "takes no new clients; 20 sessions and 0 data connections were reset") {
		t.Errorf("the history says\n%s", history)
	}
}
