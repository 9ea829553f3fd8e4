// Package systemd holds the units, and the check that systemd accepts them.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const program = "/usr/sbin/ftpvip"

// units copies the unit files to a folder, with a program in them that exists on this machine.
func units(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.service", "*.timer"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 4 {
		t.Fatalf("only %d units: %v", len(files), files)
	}
	dir := t.TempDir()
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = filepath.Join(dir, f)
		if err := os.WriteFile(files[i], []byte(strings.ReplaceAll(string(text), program, "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("FTPVIP_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	files := units(t)
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// The check can fail:
	if err := os.WriteFile(files[0], []byte("[Service]\nType=nonsense\nExecStart=/bin/true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = exec.CommandContext(t.Context(), analyze, "verify", "--man=no", files[0]).CombinedOutput()
	if err == nil && len(out) == 0 {
		t.Error("systemd-analyze verify accepts a unit of nonsense")
	}
}
