package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// recipe is a block of code of the README, by the word after its fence.
func recipe(t *testing.T, language string) string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	must(t, err)
	_, text, ok := strings.Cut(string(b), "\n```"+language+"\n")
	if !ok {
		t.Fatalf("the README has no block %s", language)
	}
	text, _, _ = strings.Cut(text, "\n```\n")
	return text + "\n"
}

// newNeighbour is a farm without a firewall, where a program may write to these folders.
func newNeighbour(t *testing.T, private ...string) *farm {
	t.Helper()
	lab.Require(t, lab.Root, lab.Curl)
	undo, err := lab.Private(private...)
	must(t, err)
	t.Cleanup(func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	})
	f := newFarm(t, arrangement{})
	f.vips[0].put(t, "file", content("file", smallSize))
	f.nft(t, "delete", "table", "inet", "admin")
	if list := faults(f.diagnosis(t)); len(list) > 0 {
		t.Fatalf("before: %+v", list)
	}
	return f
}

// daemon starts a program that ends with the test, before the lab does, and waits until a line of shell says that it is there.
func (f *farm) daemon(t *testing.T, ready string, args ...string) {
	t.Helper()
	p, err := f.Balancer.Start(f.Context(), lab.Command{Args: args})
	must(t, err)
	t.Cleanup(func() {
		_ = p.Signal(syscall.SIGTERM)
		select {
		case <-p.Done():
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not end", args[0])
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		r, err := f.Balancer.Run(t.Context(), lab.Command{Args: []string{"sh", "-c", ready}})
		must(t, err)
		select {
		case <-p.Done():
			t.Fatalf("it ended: %s", p.Kill())
		default:
		}
		if r.Code == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %s\n%s", r, p.Kill())
		}
	}
}

// breaks wants a transfer to fail.
func (f *farm) breaks(t *testing.T) {
	t.Helper()
	if f.fetch(t, f.vips[0], configs.IPv4, client.PASV, 2) == nil {
		t.Fatal("nothing broke")
	}
}

// well wants all transfers to work and nothing to be found.
func (f *farm) well(t *testing.T) {
	t.Helper()
	f.works(t)
	if list := faults(f.diagnosis(t)); len(list) > 0 {
		t.Errorf("still: %+v", list)
	}
}

// debianConf is the file that Debian's nftables brings, with a forward chain as an admin writes it.
const debianConf = `#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter;
	}
}
`

// TestBesideNFTables does what nftables.service does when it starts and reloads.
func TestBesideNFTables(t *testing.T) {
	f := newNeighbour(t)
	conf := filepath.Join(f.Dir, "nftables.conf")
	load := func(text string) {
		t.Helper()
		must(t, os.WriteFile(conf, []byte(text), 0o644))
		shell(t, f.Balancer, "nft -f "+conf)
	}
	load(debianConf)
	f.breaks(t)
	f.fix(t, "table-missing", "firewall-control", "firewall-related")

	load(debianConf)
	load(recipe(t, "nft"))
	f.breaks(t) // the flush was before it
	f.do(t, "apply")
	f.well(t)
	before := f.generation(t)
	load(recipe(t, "nft")) // a reload leaves our table alone
	if f.generation(t) == before {
		t.Error("the reload did nothing")
	}
	f.exits(t, 0, "diff")
	f.well(t)
}

// TestBesideUFW enables the real ufw. Doctor's advice is the recipe of the README.
func TestBesideUFW(t *testing.T) {
	needs(t, "ufw")
	f := newNeighbour(t, "/etc/ufw", "/etc/default")
	shell(t, f.Balancer, "ufw --force enable")
	f.breaks(t)
	f.sameAdvice(t, recipe(t, "ufw"))
	f.fix(t, "firewall-control")
	shell(t, f.Balancer, "ufw reload")
	f.exits(t, 0, "diff")
	f.well(t)
}

// sameAdvice wants the remedies of all faults together to be a recipe.
func (f *farm) sameAdvice(t *testing.T, recipe string) {
	t.Helper()
	var advice []string
	for _, fi := range faults(f.diagnosis(t)) {
		advice = append(advice, fi.Remedy...)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(recipe), "\n"), advice); diff != "" {
		t.Fatalf("-README +doctor:\n%s", diff)
	}
}

// TestBesideDocker starts the real dockerd.
func TestBesideDocker(t *testing.T) {
	needs(t, "dockerd")
	for _, way := range []string{"recipe", "doctor"} {
		t.Run(way, func(t *testing.T) {
			f := newNeighbour(t)
			dir, err := os.MkdirTemp("", "docker") // a socket's path must be short
			must(t, err)
			shell(t, f.Balancer, "sysctl -qw net.ipv4.ip_forward=0") // else dockerd leaves the policy alone
			f.daemon(t, "curl --silent --fail --unix-socket "+dir+"/sock http://docker/_ping",
				"dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
				"--host", "unix://"+dir+"/sock", "--storage-driver", "vfs")
			f.breaks(t)
			if way == "doctor" {
				f.fix(t, "firewall-control", "firewall-related")
				return
			}
			shell(t, f.Balancer, recipe(t, "docker"))
			f.exits(t, 0, "diff")
			f.well(t)
		})
	}
}

// TestBesideFirewalld starts the real firewalld, with a D-Bus of its own.
func TestBesideFirewalld(t *testing.T) {
	needs(t, "firewalld")
	needs(t, "dbus-daemon")
	f := newNeighbour(t, "/etc/firewalld")
	must(t, os.MkdirAll("/run/dbus", 0o755))
	f.daemon(t, "test -S /run/dbus/system_bus_socket", "dbus-daemon", "--system", "--nofork", "--nopidfile",
		"--address=unix:path=/run/dbus/system_bus_socket")
	f.daemon(t, "firewall-cmd --state", "firewalld", "--nofork", "--nopid")
	f.well(t) // it accepts what was translated
	shell(t, f.Balancer, "firewall-cmd --reload")
	f.exits(t, 0, "diff")
	f.well(t)

	f.strictForwardPorts(t)
	f.breaks(t)
	f.sameAdvice(t, recipe(t, "firewalld"))
	f.treat(t, []string{"firewall-control"})
	f.strictForwardPorts(t) // the reload has brought the rule back
	f.well(t)
}

var dnatRule = regexp.MustCompile(`(?m)^\s*ct status dnat accept # handle (\d+)$`)

// strictForwardPorts takes away the rule that newer versions of firewalld leave out where their configuration says so.
func (f *farm) strictForwardPorts(t *testing.T) {
	t.Helper()
	m := dnatRule.FindStringSubmatch(f.nft(t, "--handle", "list", "chain", "inet", "firewalld", "filter_FORWARD"))
	if m == nil {
		t.Fatal("firewalld does not accept what was translated")
	}
	f.nft(t, "delete", "rule", "inet", "firewalld", "filter_FORWARD", "handle", m[1])
}

// needs skips a test where a program is missing; under FTPVIP_STRICT=1 it fails.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("FTPVIP_STRICT") == "1" {
			t.Fatalf("%v (FTPVIP_STRICT=1)", err)
		}
		t.Skip(err)
	}
}
