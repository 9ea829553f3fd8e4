// Package systemd holds the units, and the checks that systemd accepts them and that they may do little.
package systemd

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const program = "/usr/sbin/ftpvip"

// maxExposure is what `systemd-analyze security` may say of a service, of 10.
const maxExposure = 2.0

// unitFiles lists the unit files of this folder.
func unitFiles(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < atLeast {
		t.Fatalf("only %d of %s: %v", len(files), pattern, files)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// others are the units that ours are ordered with, as far as order goes, as Debian's packages have them.
var others = map[string]string{
	"nftables.service": "[Unit]\nDefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target shutdown.target\n" +
		"Conflicts=shutdown.target\n",
	"firewalld.service":  "[Unit]\nBefore=network-pre.target\nWants=network-pre.target\n",
	"docker.service":     "[Unit]\nAfter=network-online.target firewalld.service\nWants=network-online.target\n",
	"keepalived.service": "[Unit]\nAfter=network-online.target\nWants=network-online.target\n",
	"bird.service":       "[Unit]\nAfter=network.target\n",
	// As if the host went through all of them at boot.
	"boot.target": "[Unit]\nWants=network.target nftables.service firewalld.service docker.service keepalived.service bird.service\n" +
		"Wants=ftpvip.service ftpvip-helper.service ftpvip-health.timer\n",
}

// folder copies the unit files to a folder, with a program in them that exists on this machine, and adds the others.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(unitFiles(t, "*.service", 4), unitFiles(t, "*.timer", 1)...) {
		write(t, filepath.Join(dir, f), strings.ReplaceAll(read(t, f), program, "/bin/true"))
	}
	for name, text := range others {
		if strings.HasSuffix(name, ".service") {
			text += "[Service]\nType=oneshot\nExecStart=/bin/true\n"
		}
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// analyze runs systemd-analyze in a folder and returns all that it says.
func analyze(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("FTPVIP_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), err
}

// verify also finds cycles in the order of units.
func verify(t *testing.T, dir string) (string, error) {
	t.Helper()
	units, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range units {
		units[i] = filepath.Base(u)
	}
	return analyze(t, dir, append([]string{"verify", "--man=no"}, units...)...)
}

func TestVerify(t *testing.T) {
	if out, err := verify(t, folder(t)); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestVerifyFails shows that the check can fail.
func TestVerifyFails(t *testing.T) {
	for name, tt := range map[string]struct{ unit, old, changed, want string }{
		"a unit of nonsense": {"ftpvip.service", "Type=oneshot", "Type=nonsense", "nonsense"},
		"a cycle": {"ftpvip.service", "Before=keepalived.service",
			"Before=network-pre.target keepalived.service", "cycle"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			file := filepath.Join(dir, tt.unit)
			text := read(t, file)
			if !strings.Contains(text, tt.old) {
				t.Fatalf("%s lacks %q", tt.unit, tt.old)
			}
			write(t, file, strings.Replace(text, tt.old, tt.changed, 1))
			if out, _ := verify(t, dir); !strings.Contains(out, tt.want) {
				t.Errorf("systemd-analyze verify does not speak of %q:\n%s", tt.want, out)
			}
		})
	}
}

var exposureLine = regexp.MustCompile(`Overall exposure level for (\S+): ([0-9.]+)`)

func TestExposure(t *testing.T) {
	dir := folder(t)
	for _, unit := range unitFiles(t, "*.service", 4) {
		out, err := analyze(t, dir, "security", "--offline=true", "--no-pager", unit)
		m := exposureLine.FindStringSubmatch(out)
		if err != nil || m == nil {
			t.Fatalf("systemd-analyze security %s: %v\n%s", unit, err, out)
		}
		level, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f", unit, level)
		if level > maxExposure {
			t.Errorf("%s is exposed by %.1f, want at most %.1f", unit, level, maxExposure)
		}
	}
}

// TestSameBounds wants one list of what may be done in all services, so that none is forgotten when it changes.
func TestSameBounds(t *testing.T) {
	bounds := func(unit string) string {
		_, after, found := strings.Cut(read(t, unit), "\n# What may be done is the same for all services")
		if !found {
			t.Fatalf("%s has no list of what may be done", unit)
		}
		list, _, _ := strings.Cut(after, "\n[Install]")
		return strings.TrimSpace(list)
	}
	services := unitFiles(t, "*.service", 4)
	for _, unit := range services[1:] {
		if diff := cmp.Diff(bounds(services[0]), bounds(unit)); diff != "" {
			t.Errorf("%s and %s differ:\n%s", services[0], unit, diff)
		}
	}
}

// TestSnippets has systemd's own programs make the user, and then the state directory for it, in a root of their own.
func TestSnippets(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range [][]string{
		{"systemd-sysusers", "sysusers.d/ftpvip.conf"},
		{"systemd-tmpfiles", "tmpfiles.d/ftpvip.conf", "--create"},
	} {
		path, err := exec.LookPath(tt[0])
		if err == nil && os.Geteuid() != 0 {
			err = errors.New("needs root")
		}
		if err != nil {
			if os.Getenv("FTPVIP_STRICT") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
		file, err := filepath.Abs(tt[1])
		if err != nil {
			t.Fatal(err)
		}
		args := append([]string{"--root=" + root, file}, tt[2:]...)
		if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if passwd := read(t, filepath.Join(root, "etc/passwd")); !strings.HasPrefix(passwd, "ftpvip:") {
		t.Errorf("no user ftpvip in %q", passwd)
	}
	info, err := os.Stat(filepath.Join(root, "var/lib/ftpvip"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeDir|0o750 {
		t.Errorf("the state directory's mode is %v", info.Mode())
	}
}
