//go:build vm

package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernelTests: kernel-tests tells its caller the truth about the tests, and gives one that fails a second chance. The
// machines are this one, and the test binary a script.
func TestKernelTests(t *testing.T) {
	const run = `#!/bin/bash
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
`
	const binary = `#!/bin/bash
if [ "$1" = -test.list ]; then printf 'TestA\nTestB\nTestC\nTestD\n'; exit; fi
name=${2//[\^$]/}
echo "$name" >>"$TRACE"
left=$(sed -n "s/^$name //p" "$FAILURES")
if [ "$(grep -c "$name" "$TRACE")" -le "${left:-0}" ]; then echo "x_test.go:1: $name is wrong"; exit 1; fi
`
	tests := []struct {
		name, failures string // how often a test fails, a line each
		ok             bool
		runs           int
		says           string
	}{
		{"all well", "", true, 4, "ok   ftpvip/e2e TestD"},
		{"one fails", "TestB 1\n", true, 5, "did not come again"},
		{"one fails always", "TestB 9\n", false, 5, "x_test.go:1: TestB is wrong"},
		{"two fail", "TestA 1\nTestC 1\n", true, 6, "did not come again"},
		{"too many fail", "TestA 1\nTestC 1\nTestD 1\n", false, 4, "x_test.go:1: TestD is wrong"},
	}
	script, order := source(t, "kernel-tests"), source(t, "../e2e/order")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"tests/vm/kernel-tests": script, "tests/e2e/order": order, "tests/vm/run": run, "bin/e2e.test": binary,
				"e2e/README": "", "failures": tt.failures, "trace": "",
			} {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "tests/vm/kernel-tests"), filepath.Join(dir, "bin"), "./e2e")
			cmd.Env = append(os.Environ(), "FTPVIP_BIN=none", "TRACE="+filepath.Join(dir, "trace"), "FAILURES="+filepath.Join(dir, "failures"))
			out, err := cmd.CombinedOutput()
			if ok := err == nil; ok != tt.ok {
				t.Errorf("%v, want success %v\n%s", err, tt.ok, out)
			}
			if !strings.Contains(string(out), tt.says) {
				t.Errorf("it does not say %q:\n%s", tt.says, out)
			}
			trace, err := os.ReadFile(filepath.Join(dir, "trace"))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(trace, []byte("\n")); n != tt.runs {
				t.Errorf("%d runs, want %d:\n%s", n, tt.runs, trace)
			}
		})
	}
}

func source(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEach: every test that the pattern names runs, and one that fails is told of.
func TestEach(t *testing.T) {
	const binary = `#!/bin/bash
if [ "$1" = -test.list ]; then printf 'TestA\nTestB\nTestWatchdog\n'; exit; fi
if [ "$2" = '^TestB$' ]; then echo "x_test.go:1: B is wrong"; exit 1; fi
`
	path := filepath.Join(t.TempDir(), "e2e.test")
	if err := os.WriteFile(path, []byte(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pattern string
		ok      bool
		says    []string
	}{
		{".", false, []string{"ok   TestA", "ok   TestWatchdog", "x_test.go:1: B is wrong", "FAIL TestB", "each: failed: TestB"}},
		{"A|Watch", true, []string{"ok   TestA", "ok   TestWatchdog"}},
		{"Nothing", false, []string{"each: no tests like 'Nothing'"}},
	} {
		out, err := exec.CommandContext(t.Context(), "../e2e/each", path, tt.pattern).CombinedOutput()
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v\n%s", tt.pattern, err, out)
		}
		for _, want := range tt.says {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: it does not say %q:\n%s", tt.pattern, want, out)
			}
		}
	}
}
