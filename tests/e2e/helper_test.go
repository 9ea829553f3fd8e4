package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestHelperKilled kills the helper without warning. What runs goes on, sessions wait for the next helper, and with
// it they are as good as before.
func TestHelperKilled(t *testing.T) {
	for _, carrier := range carriers {
		t.Run(string(carrier), func(t *testing.T) {
			f := newFarm(t, arrangement{carrier: carrier})
			v := f.vips[0]
			slow := f.startSlowInAll(t, v)
			f.helper.Kill()

			// A session that begins now waits: on_helper_down is hold.
			ctx, held := t.Context(), make(chan error, 1)
			go func() {
				s, err := client.Dial(ctx, f.Client, netip.Addr{}, v.at(configs.IPv4))
				if err == nil {
					_, err = s.Upload(ctx, client.PASV, server.UploadDir+"/held", strings.NewReader("held"))
					s.Abandon()
				}
				held <- err
			}()
			select {
			case err := <-held:
				t.Fatalf("a session did not wait for the helper: %v", err)
			case <-time.After(300 * time.Millisecond):
			}
			f.startHelper(t)
			if err := <-held; err != nil {
				t.Errorf("the session that waited: %v", err)
			}

			for _, s := range slow {
				s.finish(t)
			}
			for _, s := range slow {
				s.reuse(t)
			}
		})
	}
}

// TestHelperStops checks the orderly end.
func TestHelperStops(t *testing.T) {
	f := newFarm(t, arrangement{})
	r, err := f.helper.Stop(t.Context())
	must(t, err)
	if r.Code != 0 {
		t.Errorf("want exit status 0 after SIGTERM: %s", r)
	}
	if r.Stdout != "" {
		t.Errorf("the log belongs on standard error: %s", r)
	}
}

// TestSecondHelper starts a helper while one is running: it says who has the queue, and not that it lacks a permission.
func TestSecondHelper(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	s := f.dial(t, v, netip.Addr{}, configs.IPv4)
	r, err := f.ftpvip.Run(t.Context(), "helper")
	must(t, err)
	if r.Code != 1 {
		t.Errorf("exit status %d, want 1", r.Code)
	}
	name := filepath.Base(f.ftpvip.Path)
	want := fmt.Sprintf("another program has the queue: it is %s, process %d; stop it", name[:min(len(name), 15)], f.helper.Pid()) // TASK_COMM_LEN
	if !strings.Contains(r.Stderr, want) || strings.Contains(r.Stderr, "needs root") {
		t.Errorf("it does not say %q, or more: %s", want, r)
	}
	must(t, s.Noop())
}

// TestUninvited checks that nobody gets in by a door that no PASV opened, and that what one opened is for its client.
func TestUninvited(t *testing.T) {
	f := newFarm(t, arrangement{clients: 2})
	v := f.vips[0]
	for _, family := range configs.Families {
		at := netip.AddrPortFrom(v.VIP.Of(family), 50000)
		if f.connects(t, netip.Addr{}, at) {
			t.Errorf("%s is open to everyone", at)
		}
		s := f.dial(t, v, f.ClientAddrs[0].Of(family), family)
		at, err := s.Passive(client.EPSV)
		must(t, err)
		if f.connects(t, f.ClientAddrs[1].Of(family), at) {
			t.Errorf("%s is open to another client", at)
		}
		if !f.connects(t, f.ClientAddrs[0].Of(family), at) {
			t.Errorf("%s is not open to its client", at)
		}
	}
}

func (f *farm) connects(t *testing.T, from netip.Addr, to netip.AddrPort) bool {
	t.Helper()
	return reaches(t, f.Client, from, to)
}

// reaches reports whether a host can connect somewhere, without waiting long for it.
func reaches(t *testing.T, n *lab.Namespace, from netip.Addr, to netip.AddrPort) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	c, err := n.Dial(ctx, from, to)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
