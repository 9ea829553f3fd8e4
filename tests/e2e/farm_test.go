package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// arrangement says what a test wants to stand.
type arrangement struct {
	name      string        // set where several farms stand at the same time
	kinds     []server.Kind // one VIP for each, with two servers behind it; default one VIP with embedded servers
	arm       lab.Arm
	snat      func(*lab.Lab) string // for one-arm
	carrier   configs.Carrier
	scheduler string
	clients   int
	helper    string   // further keys of the configuration's section helper, a line each
	health    []string // of every pool, see lab.Farm
	keys      []string // more keys of every VIP
	pool      []string // and of every pool
}

// farm is a lab with servers, and with ftpvip applied and its helper running on the balancer.
type farm struct {
	*lab.Lab
	ftpvip  *lab.Program
	helper  *lab.Helper
	vips    []*vip
	carrier configs.Carrier
	keys    string // of the section helper
}

// vip is one virtual IP and the servers behind it.
type vip struct {
	lab.Farm
	servers []*server.Server
}

// at is the VIP's address and port.
func (v *vip) at(f configs.Family) netip.AddrPort {
	return netip.AddrPortFrom(v.VIP.Of(f), server.Port)
}

// The rise and fall of every pool here.
const (
	rise = 1
	fall = 2
)

// newFarm builds everything for the test's duration, under the admin's firewall and with a client that accepts
// connections from the VIPs only.
func newFarm(t *testing.T, a arrangement) *farm {
	t.Helper()
	if a.kinds == nil {
		a.kinds = []server.Kind{server.Embedded}
	}
	lab.Require(t, lab.Root, lab.NFT)
	for _, k := range a.kinds {
		lab.Require(t, k.Needs()...)
	}
	if a.carrier == configs.CarrierCTHelper {
		lab.Require(t, lab.CTHelper)
	}
	path, err := lab.FindProgram()
	must(t, err)
	l, err := lab.New(t.Context(), lab.Options{
		Name: a.name, Arm: a.arm, Backends: 2 * len(a.kinds), VIPs: len(a.kinds), Clients: a.clients,
		Firewall: true, ClientFirewall: true,
	})
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})

	f := &farm{Lab: l, carrier: a.carrier, keys: a.helper}
	for i, kind := range a.kinds {
		v := &vip{Farm: lab.Farm{
			Name: string(kind), VIP: l.VIPs[i], Backends: l.Backends[2*i : 2*i+2],
			Scheduler: a.scheduler, Rise: rise, Fall: fall, Timeout: 2 * time.Second,
			Health: a.health, Keys: a.keys, PoolKeys: a.pool,
		}}
		if a.snat != nil {
			v.SNAT = a.snat(l)
		}
		for j, b := range v.Backends {
			s, err := server.Start(t.Context(), l, b, kind, fmt.Sprintf("%s-%d", kind, j+1))
			must(t, err)
			v.servers = append(v.servers, s)
		}
		f.vips = append(f.vips, v)
	}
	f.ftpvip, err = l.Program(path, f.config())
	must(t, err)
	f.ftpvip.Log = "debug"
	f.do(t, "apply")
	f.startHelper(t)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		t.Logf("the helper's log:\n%s", f.helper.Stderr())
		for _, v := range f.vips {
			for _, s := range v.servers {
				t.Logf("%s's log:\n%s", s.Name, s.Log())
			}
		}
	})
	return f
}

func (f *farm) config() string {
	var list []lab.Farm
	for _, v := range f.vips {
		list = append(list, v.Farm)
	}
	text := lab.Config(f.carrier, list...)
	if f.keys != "" && f.carrier == "" {
		text += "helper:\n"
	}
	for line := range strings.Lines(f.keys) {
		text += "  " + line
	}
	return text
}

func (f *farm) startHelper(t *testing.T) {
	t.Helper()
	h, err := f.ftpvip.StartHelper(t.Context(), nil)
	must(t, err)
	f.helper = h
}

// do runs a verb that has to succeed.
func (f *farm) do(t *testing.T, words ...string) lab.Result {
	t.Helper()
	r, err := f.ftpvip.Do(t.Context(), words...)
	must(t, err)
	return r
}

// exits runs a verb that has to end with a certain status.
func (f *farm) exits(t *testing.T, code int, words ...string) lab.Result {
	t.Helper()
	r, err := f.ftpvip.Run(t.Context(), words...)
	must(t, err)
	if r.Code != code {
		t.Fatalf("want exit status %d: %s", code, r)
	}
	return r
}

// health runs rounds of checks.
func (f *farm) health(t *testing.T, rounds int) {
	t.Helper()
	for range rounds {
		f.do(t, "health")
	}
}

// nft runs nft on the balancer and returns what it prints.
func (f *farm) nft(t *testing.T, words ...string) string {
	t.Helper()
	r, err := f.Balancer.Run(t.Context(), lab.Command{Args: append([]string{"nft"}, words...)})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return r.Stdout
}

// generation is the number of the balancer's ruleset.
func (f *farm) generation(t *testing.T) uint32 {
	t.Helper()
	g, err := f.Balancer.Generation()
	must(t, err)
	return g
}

// landing opens a session from an address and returns which server it reached.
func (f *farm) landing(t *testing.T, v *vip, from netip.Addr) string {
	t.Helper()
	banner, err := client.Greeting(t.Context(), f.Client, from, v.at(configs.FamilyOf(from)))
	must(t, err)
	name, _, _ := strings.Cut(banner, " ")
	return name
}

// landings is landing for every client address of both families.
func (f *farm) landings(t *testing.T, v *vip) map[netip.Addr]string {
	t.Helper()
	m := map[netip.Addr]string{}
	for _, family := range configs.Families {
		for _, a := range f.ClientAddrs {
			m[a.Of(family)] = f.landing(t, v, a.Of(family))
		}
	}
	return m
}

// put gives all servers of a VIP a file to download.
func (v *vip) put(t *testing.T, name string, content []byte) {
	t.Helper()
	for _, s := range v.servers {
		must(t, s.Put(name, content))
	}
}

// uploaded returns a file that was uploaded to one of the servers of a VIP, and to one only.
func (v *vip) uploaded(t *testing.T, name string) []byte {
	t.Helper()
	var found [][]byte
	for _, s := range v.servers {
		if b, err := s.Uploaded(name); err == nil {
			found = append(found, b)
		} else if !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s is on %d servers, want it on one", name, len(found))
	}
	return found[0]
}

// dial opens a session of our own client.
func (f *farm) dial(t *testing.T, v *vip, from netip.Addr, family configs.Family) *client.Session {
	t.Helper()
	s, err := client.Dial(t.Context(), f.Client, from, v.at(family))
	must(t, err)
	t.Cleanup(s.Abandon)
	return s
}

// content makes bytes that no other seed makes.
func content(seed string, size int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// soon is a context for something that takes no time.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
