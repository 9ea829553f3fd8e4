package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestDrain drains a server with 20 running transfers: none breaks, data connections of running sessions go on, no new
// session reaches it, and `drain --wait` returns after the last.
func TestDrain(t *testing.T) {
	const transfers = 20
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat, clients: 8, kinds: []server.Kind{server.VSFTPD}})
			v := f.vips[0]
			v.put(t, "large", large())
			v.put(t, "file", content("file", smallSize))
			victim, survivor := v.servers[0], v.servers[1]
			landings := f.landings(t, v)
			var slow []*slowTransfer
			for len(slow) < transfers {
				for _, s := range f.slowPassive(t, v, victim, landings) {
					if len(slow) < transfers {
						slow = append(slow, s)
					} else {
						s.session.Abandon()
					}
				}
			}

			r := f.exits(t, 1, "drain", v.ref(0), "--wait", "--timeout", "1s")
			if !strings.Contains(r.Stderr, "sessions still run") || !strings.Contains(r.Stderr, "ftpvip disable "+v.ref(0)) {
				t.Errorf("it does not say what runs and what to do: %s", r)
			}
			waiting, err := f.ftpvip.Start(t.Context(), "drain", v.ref(0), "--wait")
			must(t, err)
			for from, name := range f.landings(t, v) {
				if name != survivor.Name {
					t.Errorf("%s lands on %s, which is drained", from, name)
				}
			}
			var wait sync.WaitGroup
			for i, s := range slow {
				if i == transfers-1 {
					break
				}
				wait.Go(func() {
					s.finish(t)
					var got bytes.Buffer // a drained backend still gets data connections of the sessions that it has
					if _, err := s.session.Download(t.Context(), client.EPSV, "file", &got); err != nil || got.Len() != smallSize {
						t.Errorf("another transfer of the session: %d bytes, %v", got.Len(), err)
					}
					if err := s.session.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			select {
			case <-waiting.Done():
				t.Error("drain --wait ended before the last session")
			case <-time.After(2 * time.Second):
			}
			last := slow[transfers-1]
			last.finish(t)
			must(t, last.session.Close())
			done, err := waiting.Wait(soon(t))
			must(t, err)
			if done.Code != 0 || !strings.Contains(done.Stdout, "the last session has ended") {
				t.Error(done)
			}
			f.do(t, "enable", v.ref(0))
			if f.landingsDiffer(t, v, landings) {
				t.Error("after enable the clients land elsewhere")
			}
		})
	}
}

func (f *farm) landingsDiffer(t *testing.T, v *vip, before map[netip.Addr]string) bool {
	t.Helper()
	for from, name := range f.landings(t, v) {
		if name != before[from] {
			return true
		}
	}
	return false
}

// slowPassive begins a slow download by each client that lands on a server.
func (f *farm) slowPassive(t *testing.T, v *vip, on *server.Server, landings map[netip.Addr]string) []*slowTransfer {
	t.Helper()
	var slow []*slowTransfer
	for from, name := range landings {
		if name == on.Name {
			slow = append(slow, f.startSlow(t, v, from, configs.FamilyOf(from), client.EPSV))
		}
	}
	if len(slow) == 0 {
		t.Fatalf("no client lands on %s", on.Name)
	}
	return slow
}

// TestConfirm applies with a confirmation that does not come: the old table is back, and running transfers have
// noticed nothing. With one it stays.
func TestConfirm(t *testing.T) {
	f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}})
	v := f.vips[0]
	slow := f.startSlowInAll(t, v)
	before := f.nft(t, "list", "table", "inet", "ftpvip")
	v.Backends, v.Scheduler = f.Backends[1:2], "round-robin"
	must(t, f.ftpvip.Configure(f.config()))

	// The admin has cut himself off: all that is in his session ends.
	session, err := f.Balancer.Start(t.Context(), lab.Command{Args: []string{
		"sh", "-c", strings.Join(f.ftpvip.Args("apply", "--confirm", "5s"), " ") + " && echo applied && exec sleep 1000",
	}})
	must(t, err)
	begun := time.Now()
	for !strings.Contains(session.Stdout(), "applied\n") {
		if time.Since(begun) > 20*time.Second {
			t.Fatal(session.Kill())
		}
		time.Sleep(20 * time.Millisecond)
	}
	session.Kill()
	if f.nft(t, "list", "table", "inet", "ftpvip") == before {
		t.Fatal("apply changed nothing")
	}
	for deadline := time.Now().Add(20 * time.Second); f.nft(t, "list", "table", "inet", "ftpvip") != before; {
		if time.Now().After(deadline) {
			t.Fatal("the old table does not come back")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if after := time.Since(begun); after < 4*time.Second {
		t.Errorf("the old table was back after %v already", after)
	}
	for _, s := range slow {
		s.finish(t)
	}
	for _, s := range slow {
		s.reuse(t)
	}
	f.landings(t, v) // and new sessions reach the helper as before

	// A round of checks leaves what was restored as it is, though the file asks for something else.
	f.do(t, "health")
	if f.nft(t, "list", "table", "inet", "ftpvip") != before {
		t.Error("a round of checks changed the table that was restored")
	}
	f.do(t, "apply", "--confirm", "3s")
	f.do(t, "confirm")
	time.Sleep(5 * time.Second)
	f.exits(t, 0, "diff")
}

// TestFiftyAtOnce has 50 processes change things at the same time. In the end every decision is there, and the kernel
// has what configuration and state ask for.
func TestFiftyAtOnce(t *testing.T) {
	const backends = 16
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	var b strings.Builder
	fmt.Fprintf(&b, "vips:\n  - {name: many, addresses: %s, port: 21, pool: many}\n", lab.YAMLAddrs(v.VIP))
	b.WriteString("pools:\n  - name: many\n    health: {check: tcp, timeout: 1s, fall: 1}\n    backends:\n")
	for i := range backends {
		fmt.Fprintf(&b, "      - {name: b%d, addresses: [10.2.0.%d, \"fd00::%x\"]}\n", i, 11+i, 0x11+i)
	}
	must(t, f.ftpvip.Configure(b.String()))
	f.do(t, "apply")
	for i := range 8 {
		f.do(t, "drain", fmt.Sprintf("many/b%d", 8+i))
	}

	var commands [][]string
	for i := range 8 {
		commands = append(commands,
			[]string{"drain", fmt.Sprintf("many/b%d", i)}, []string{"enable", fmt.Sprintf("many/b%d", 8+i)},
			[]string{"weight", fmt.Sprintf("many/b%d", i), fmt.Sprint(20 + i)}, []string{"weight", fmt.Sprintf("many/b%d", 8+i), fmt.Sprint(40 + i)},
			[]string{"apply"}, []string{"health"})
	}
	commands = append(commands, []string{"apply"}, []string{"health"})
	var wait sync.WaitGroup
	for _, words := range commands {
		wait.Go(func() {
			r, err := f.ftpvip.Run(t.Context(), words...)
			if err != nil || r.Code != 0 && words[0] != "health" { // a pool may be without a member for a moment
				t.Errorf("%v: %v %s", words, err, r)
			}
		})
	}
	wait.Wait()
	if len(commands) != 50 {
		t.Fatalf("%d commands", len(commands))
	}
	run, err := f.ftpvip.Run(t.Context(), "status", "-o", "json") // exit 1 where all are drained
	must(t, err)
	status := run.Stdout
	for i := range backends {
		name, weight, mode := fmt.Sprintf("b%d", i), 20+i, "drained"
		if i >= 8 {
			weight, mode = 40+i-8, ""
		}
		entry := between(status, fmt.Sprintf("\"name\": %q", name), "}")
		if !strings.Contains(entry, fmt.Sprintf("\"weight\": %d,", weight)) {
			t.Errorf("%s has not got weight %d: %s", name, weight, entry)
		}
		if got := strings.Contains(entry, `"admin": "drained"`); got != (mode != "") {
			t.Errorf("%s: drained %v: %s", name, got, entry)
		}
	}
	r := f.exits(t, 0, "diff")
	if r.Stdout != "" {
		t.Error(r)
	}
}

// between is the part of s from the first text to the next end.
func between(s, from, to string) string {
	_, rest, _ := strings.Cut(s, from)
	part, _, _ := strings.Cut(rest, to)
	return part
}

// TestChangedByOthers changes our table as somebody else might. diff names each change, status says that there is
// one, and apply restores it.
func TestChangedByOthers(t *testing.T) {
	f := newFarm(t, arrangement{})
	for _, tc := range []struct {
		name   string
		words  []string
		diff   string // a part of it
		status string
	}{
		{"deleted", []string{"delete", "table", "inet", "ftpvip"}, "+ table inet ftpvip\n", "MISSING"},
		{"element changed", []string{"delete element inet ftpvip slots4-embedded { 17 }; add element inet ftpvip slots4-embedded { 17 : 10.9.9.9 . 21 }"},
			"- element slots4-embedded { 17 : 10.9.9.9 . 21 }", "DIFFERS from the configuration in 2 places"},
		{"rule added", []string{"add", "rule", "inet", "ftpvip", "postrouting", "counter", "accept"},
			"- rule postrouting: handle ", "DIFFERS from the configuration in 1 places"},
		{"chain added", []string{"add", "chain", "inet", "ftpvip", "theirs"}, "- chain theirs", "DIFFERS"},
		{"policy changed", []string{"chain inet ftpvip empty { policy drop; }"}, "- chain empty { type filter hook forward priority 0; policy drop; }",
			"DIFFERS"},
		{"flags changed", []string{"add table inet ftpvip { flags dormant; }"}, "dormant", "DIFFERS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.exits(t, 0, "diff")
			f.nft(t, tc.words...)
			if r := f.exits(t, 1, "diff"); !strings.Contains(r.Stdout, tc.diff) {
				t.Errorf("diff does not name it: %s", r)
			}
			if r := f.exits(t, 1, "status"); !strings.Contains(r.Stdout, tc.status) || !strings.HasPrefix(r.Stdout, "PROBLEM: table inet ftpvip") {
				t.Errorf("status does not say %q: %s", tc.status, r)
			}
			f.do(t, "apply")
			f.exits(t, 0, "diff")
		})
	}
	f.landings(t, f.vips[0])
}
