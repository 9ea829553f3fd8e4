package e2e

import (
	"net/netip"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestBackendDies kills one of two servers: new sessions move to the other with the health rounds, what runs there is
// not disturbed, and everything comes back with the server.
func TestBackendDies(t *testing.T) {
	for _, kind := range []server.Kind{server.VSFTPD, server.PyFTPDlib} {
		t.Run(string(kind), func(t *testing.T) {
			f := newFarm(t, arrangement{kinds: []server.Kind{kind}, clients: 8})
			v := f.vips[0]
			v.put(t, "large", large())
			f.health(t, 1)
			victim, survivor := v.servers[0], v.servers[1]
			before := f.landings(t, v)
			slow := f.slowOn(t, v, survivor, before)

			victim.Kill()
			f.health(t, fall-1)
			if after := f.landings0(t, v, before, survivor); after != survivor.Name {
				t.Errorf("one failure of %d moved a client to %s", fall, after)
			}
			generation := f.generation(t)
			f.health(t, 1)
			if n := f.generation(t) - generation; n != 1 {
				t.Errorf("the round that took the server out made %d transactions, want 1", n)
			}
			for from, name := range f.landings(t, v) {
				if name != survivor.Name {
					t.Errorf("%s lands on %s, which is dead", from, name)
				}
			}
			f.exits(t, 0, "diff")
			for _, s := range slow {
				s.finish(t)
			}

			restarted, err := server.Start(t.Context(), f.Lab, victim.Backend, kind, victim.Name)
			must(t, err)
			v.servers[0] = restarted
			f.health(t, rise)
			for from, name := range f.landings(t, v) {
				if name != before[from] {
					t.Errorf("%s lands on %s, before it was %s", from, name, before[from])
				}
			}
			generation = f.generation(t)
			f.health(t, 1)
			if n := f.generation(t) - generation; n != 0 {
				t.Errorf("a round that found nothing new made %d transactions", n)
			}
		})
	}
}

// slowOn begins slow downloads, one in each mode and family, by clients that land on a certain server.
func (f *farm) slowOn(t *testing.T, v *vip, on *server.Server, landings map[netip.Addr]string) []*slowTransfer {
	t.Helper()
	var slow []*slowTransfer
	for _, family := range configs.Families {
		for _, a := range f.ClientAddrs {
			if from := a.Of(family); landings[from] == on.Name {
				for _, mode := range client.Modes(family) {
					slow = append(slow, f.startSlow(t, v, from, family, mode))
				}
				break
			}
		}
	}
	if len(slow) < len(client.Modes(configs.IPv4))+len(client.Modes(configs.IPv6)) {
		t.Fatalf("all clients of a family land on the other server: %v", landings)
	}
	return slow
}

// landings0 is landing for one of the clients of a certain server.
func (f *farm) landings0(t *testing.T, v *vip, before map[netip.Addr]string, on *server.Server) string {
	t.Helper()
	for from, name := range before {
		if name == on.Name {
			return f.landing(t, v, from)
		}
	}
	t.Fatalf("no client lands on %s", on.Name)
	return ""
}

// TestAllBackendsDie checks that clients are refused at once and not left to wait.
func TestAllBackendsDie(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	for _, s := range v.servers {
		s.Kill()
	}
	for i := range fall {
		want := 0
		if i == fall-1 {
			want = 1 // a pool has no member
		}
		f.exits(t, want, "health")
	}
	for _, family := range configs.Families {
		begin := time.Now()
		if s, err := client.Greeting(soon(t), f.Client, netip.Addr{}, v.at(family)); err == nil {
			t.Errorf("IPv%d: somebody greets with %q", family, s)
		}
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("IPv%d: refused only after %v", family, d)
		}
	}
	s, err := server.Start(t.Context(), f.Lab, v.Backends[1], server.Embedded, v.servers[1].Name)
	must(t, err)
	f.health(t, rise)
	for from, name := range f.landings(t, v) {
		if name != s.Name {
			t.Errorf("%s lands on %s", from, name)
		}
	}
}
