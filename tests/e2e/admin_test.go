package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// ref is a backend as the verbs name it.
func (v *vip) ref(i int) string { return v.Name + "/" + v.Backends[i].Name }

// dialAll opens a session from each address of the client, and sorts them by the server that they reached.
func (f *farm) dialAll(t *testing.T, v *vip, each int) map[string][]*client.Session {
	t.Helper()
	sessions := map[string][]*client.Session{}
	for _, family := range configs.Families {
		for _, a := range f.ClientAddrs {
			for range each {
				s := f.dial(t, v, a.Of(family), family)
				name, _, _ := strings.Cut(s.Banner, " ")
				sessions[name] = append(sessions[name], s)
			}
		}
	}
	for _, s := range v.servers {
		if len(sessions[s.Name]) == 0 {
			t.Fatalf("no session reached %s", s.Name)
		}
	}
	return sessions
}

// resets counts the TCP resets that a host gets.
type resets struct{ host *lab.Namespace }

func countResets(t *testing.T, f *farm, host *lab.Namespace) resets {
	t.Helper()
	const table = `table inet resets { chain in { type filter hook input priority -400; tcp flags & rst == rst counter; }; }`
	r, err := host.Run(t.Context(), lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(table)})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() {
		if f.Context().Err() == nil {
			_, _ = host.Run(f.Context(), lab.Command{Args: []string{"nft", "delete", "table", "inet", "resets"}})
		}
	})
	return resets{host}
}

var packets = regexp.MustCompile(`counter packets (\d+)`)

func (r resets) seen(t *testing.T) int {
	t.Helper()
	out, err := r.host.Run(t.Context(), lab.Command{Args: []string{"nft", "list", "table", "inet", "resets"}})
	must(t, err)
	m := packets.FindStringSubmatch(out.Stdout)
	if m == nil {
		t.Fatal(out)
	}
	n, err := strconv.Atoi(m[1])
	must(t, err)
	return n
}

// sockets counts the established TCP connections of a host with a local port.
func sockets(t *testing.T, host *lab.Namespace, port uint16) int {
	t.Helper()
	r, err := host.Run(t.Context(), lab.Command{Args: []string{"ss", "-Htn", "state", "established", fmt.Sprintf("sport = :%d", port)}})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return strings.Count(r.Stdout, "\n")
}

// dialLocally opens sessions of a client on the balancer itself, until it has one with each server.
func (f *farm) dialLocally(t *testing.T, v *vip, sessions map[string][]*client.Session) {
	t.Helper()
	for _, family := range configs.Families {
		s, err := client.Dial(t.Context(), f.Balancer, netip.Addr{}, v.at(family))
		must(t, err)
		t.Cleanup(s.Abandon)
		name, _, _ := strings.Cut(s.Banner, " ")
		sessions[name] = append(sessions[name], s)
	}
}

// TestDisable ends the sessions of one backend: idle ones and transfers get a reset at both ends within a second,
// those of the other backend notice nothing, and who comes back lands there.
func TestDisable(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, clients: 8, kinds: []server.Kind{server.VSFTPD}})
			v := f.vips[0]
			v.put(t, "large", large())
			victim, survivor := v.servers[0], v.servers[1]
			landings := f.landings(t, v)
			if arm.arm == lab.TwoArm { // elsewhere PORT of this client is refused by some servers, which is another test's
				f.slowOn(t, v, victim, landings)
			}
			slow := f.slowOn(t, v, survivor, landings)
			idle := f.dialAll(t, v, 1)
			atClient, atVictim, atSurvivor := countResets(t, f, f.Client), countResets(t, f, victim.Backend.Namespace), countResets(t, f, survivor.Backend.Namespace)

			if arm.arm == lab.TwoArm { // elsewhere backends have no way back to the VIP that local clients have
				f.dialLocally(t, v, idle)
			}
			var wait sync.WaitGroup
			for _, s := range idle[victim.Name] {
				wait.Go(func() {
					if err := s.AwaitReset(20 * time.Second); err != nil {
						t.Errorf("session of %s: %v", s.Local(), err)
					}
				})
			}
			time.Sleep(50 * time.Millisecond)
			r := f.do(t, "disable", v.ref(0))
			ended := time.Now()
			wait.Wait()
			if late := time.Since(ended); late > time.Second {
				t.Errorf("idle sessions were reset %v after the command had ended", late)
			}
			if !regexp.MustCompile(`ended \d+ sessions and \d+ data connections`).MatchString(r.Stdout) {
				t.Errorf("it does not say what it ended: %s", r)
			}
			if n := sockets(t, victim.Backend.Namespace, server.Port); n > 0 {
				t.Errorf("%d connections are still open on the disabled server", n)
			}
			if n := atClient.seen(t); n < len(idle[victim.Name]) {
				t.Errorf("the client got %d resets for %d sessions", n, len(idle[victim.Name]))
			}
			if n := atVictim.seen(t); n < len(idle[victim.Name]) {
				t.Errorf("the disabled server got %d resets for %d sessions", n, len(idle[victim.Name]))
			}
			if n := atSurvivor.seen(t); n > 0 {
				t.Errorf("the other server got %d resets", n)
			}
			for _, s := range idle[survivor.Name] {
				if err := s.Noop(); err != nil {
					t.Errorf("a session of the other server: %v", err)
				}
			}
			for _, s := range slow {
				s.finish(t)
			}
			for from, name := range f.landings(t, v) {
				if name != survivor.Name {
					t.Errorf("%s lands on %s, which is disabled", from, name)
				}
			}
			f.exits(t, 0, "diff")
			f.do(t, "enable", v.ref(0))
			for from, name := range f.landings(t, v) {
				if name != landings[from] {
					t.Errorf("%s lands on %s, before it was %s", from, name, landings[from])
				}
			}
		})
	}
}
