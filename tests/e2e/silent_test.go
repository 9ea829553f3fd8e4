package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// passes moves a file through a VIP.
func (f *farm) passes(t *testing.T) {
	t.Helper()
	for _, s := range f.vips[0].servers {
		must(t, s.Put("file", []byte("content")))
	}
	if err := f.fetch(t, f.vips[0], configs.IPv4, client.PASV, 10); err != nil {
		t.Errorf("a transfer: %v", err)
	}
}

// TestTableRemoved: after somebody's `nft flush ruleset` a round of checks puts our table back, and says so; with restore: off it
// says so and exits with 1. So does it where only a chain was emptied.
func TestTableRemoved(t *testing.T) {
	for _, tt := range []struct {
		name  string
		words []string
	}{
		{"flush ruleset", []string{"flush", "ruleset"}},
		{"flush table", []string{"flush", "table", "inet", "ftpvip"}},
		{"flush chain", []string{"flush", "chain", "inet", "ftpvip", "prerouting"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t, arrangement{})
			f.health(t, 1)
			f.exits(t, 0, "status")
			f.nft(t, tt.words...)
			if r := f.exits(t, 1, "status"); !strings.HasPrefix(r.Stdout, "PROBLEM: table inet ftpvip") {
				t.Errorf("status: %s", r)
			}
			prom := filepath.Join(t.TempDir(), "health.prom")
			if r := f.exits(t, 0, "health", "--textfile", prom); !strings.Contains(r.Stdout, "RESTORED") || !strings.Contains(r.Stderr, "level=WARN") {
				t.Errorf("health: %s", r)
			}
			if b, err := os.ReadFile(prom); err != nil || !strings.Contains(string(b), "\nftpvip_health_table_restored 1\n") {
				t.Errorf("metrics: %v\n%s", err, b)
			}
			f.exits(t, 0, "diff")
			f.exits(t, 0, "status")
			f.passes(t)

			f.vips[0].Health = append(f.vips[0].Health, "restore: off")
			f.configure(t, f.config())
			f.nft(t, tt.words...)
			if r := f.exits(t, 1, "health", "--textfile", prom); !strings.Contains(r.Stdout, "run `ftpvip apply`") || !strings.Contains(r.Stderr, "level=ERROR") {
				t.Errorf("health with restore: off: %s", r)
			}
			if b, err := os.ReadFile(prom); err != nil || !strings.Contains(string(b), "\nftpvip_health_table_whole 0\n") {
				t.Errorf("metrics: %v\n%s", err, b)
			}
			f.exits(t, 1, "diff")
		})
	}
}

// TestStateDirectoryFull: a server that dies loses its slots also where the state directory cannot be written, over as many
// rounds as fall says; the rounds fail, and say why.
func TestStateDirectoryFull(t *testing.T) {
	for _, tt := range []struct{ name, damage, mend string }{
		{"full", "dd if=/dev/zero of=$STATE/.filler bs=64k 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9; do echo x > $STATE/.f$i; done; true", "rm $STATE/.f*"},
		{"read-only", "mount -o remount,ro $STATE", "mount -o remount,rw $STATE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFarm(t, arrangement{})
			sh := func(script string) {
				t.Helper()
				r, err := f.Balancer.Run(t.Context(), lab.Command{Args: []string{"sh", "-c", "STATE=" + f.ftpvip.State + "; " + script}})
				must(t, err)
				if r.Code != 0 {
					t.Fatal(r)
				}
			}
			// the helper's socket stays below: only rounds matter here
			sh("cp -a $STATE /tmp/kept; mount -t tmpfs -o size=256k,mode=750 none $STATE && cp -a /tmp/kept/*.json /tmp/kept/*lock $STATE; rm -r /tmp/kept")
			defer sh("umount -l $STATE")
			f.health(t, 1)
			sh(tt.damage)
			f.vips[0].servers[0].Kill()
			for range fall {
				if r := f.exits(t, 2, "health"); !strings.Contains(r.Stderr, "cannot be written") {
					t.Errorf("health does not say why: %s", r)
				}
			}
			if out := f.nft(t, "list", "map", "inet", "ftpvip", "slots4-embedded"); strings.Contains(out, "10.2.0.11 ") || !strings.Contains(out, "10.2.0.12 ") {
				t.Errorf("the dead server has slots:\n%s", out)
			}
			if r := f.exits(t, 1, "status"); !strings.Contains(r.Stdout, "PROBLEM: the state directory cannot be written") {
				t.Errorf("status: %s", r)
			}
			sh(tt.mend)
			f.health(t, 1)
			if r, err := f.ftpvip.Run(t.Context(), "status"); err != nil || strings.Contains(r.Stdout, "state directory") {
				t.Errorf("status after that: %s, %v", r, err)
			}
		})
	}
}

// TestBrokenConfiguration: with a slip in the file and everything restarted, helper, checks, status and sessions go on with what
// was applied, and say so.
func TestBrokenConfiguration(t *testing.T) {
	f := newFarm(t, arrangement{})
	f.health(t, 1)
	must(t, f.ftpvip.Configure(strings.Replace(f.config(), "addresses:", "adresses:", 1)))
	f.exits(t, 78, "check")
	f.exits(t, 78, "apply")
	_, err := f.helper.Stop(t.Context())
	must(t, err)
	f.startHelper(t)
	if !strings.Contains(f.helper.Stderr(), "level=ERROR") || !strings.Contains(f.helper.Stderr(), "what was applied stays in force") {
		t.Errorf("the helper's log: %s", f.helper.Stderr())
	}
	if r := f.exits(t, 0, "health"); !strings.Contains(r.Stderr, "what was applied stays in force") {
		t.Errorf("health: %s", r)
	}
	if r := f.exits(t, 1, "status"); !strings.HasPrefix(r.Stdout, "PROBLEM: ") || !strings.Contains(r.Stdout, "cannot be used") || !strings.Contains(r.Stdout, "VIP embedded") {
		t.Errorf("status: %s", r)
	}
	f.exits(t, 0, "sessions")
	f.passes(t)
}
