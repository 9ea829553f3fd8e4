package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/rules/change"
	"ftpvip/tests/lab"
)

var errFault = errors.New("injected fault")

// faulty makes the nth step fail: before it was done, or when it was done already. A transaction of the kernel's never
// fails when it was done.
func faulty(n int, late bool) (run change.Runner, failed *string) {
	failed = new(string)
	return func(s change.Step) error {
		n--
		if n != 0 {
			return s.Do()
		}
		*failed = s.Name
		if late && s.Undo != nil {
			if err := s.Do(); err != nil {
				return err
			}
		}
		return errFault
	}, failed
}

// faultWorld is a state directory and two configurations.
type faultWorld struct{ dir, file string }

const faultConfig = `vips:
  - {name: ftp, addresses: [192.0.2.10, "2001:db8::10"], port: 21, pool: farm}
pools:
  - name: farm
    scheduler: %s
    backends: [{name: a, addresses: [10.2.0.11, "fd00::11"]}, {name: b, addresses: [10.2.0.12, "fd00::12"]}]
`

func (w faultWorld) configure(t *testing.T, scheduler string) {
	t.Helper()
	if err := os.WriteFile(w.file, fmt.Appendf(nil, faultConfig, scheduler), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w faultWorld) run(t *testing.T, runner change.Runner, words ...string) (code int, stderr string) {
	t.Helper()
	var out, err strings.Builder
	a := newApp(&out, &err)
	a.op.Change = runner
	code = a.run(t.Context(), append([]string{"-c", w.file, "--state-dir", w.dir}, words...))
	return code, err.String()
}

func (w faultWorld) do(t *testing.T, words ...string) {
	t.Helper()
	if code, stderr := w.run(t, change.Plain, words...); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", words, code, stderr)
	}
}

// snapshot is everything that must be as before: the kernel's tables and all state files.
func (w faultWorld) snapshot(t *testing.T) map[string]string {
	t.Helper()
	list, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	all := map[string]string{"ruleset": string(list)}
	files, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == operate.AwaitLog || f.Name() == operate.LockChange { // what a process said that was ended; an empty file
			continue
		}
		b, err := os.ReadFile(filepath.Join(w.dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

// TestFaults makes each step of each change fail in turn. After each failure the kernel and the state files are as they
// were, byte for byte, and the error says which step failed.
func TestFaults(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT)
	nothing := func(*testing.T, faultWorld) {}
	first := func(t *testing.T, w faultWorld) { w.do(t, "apply") }
	changed := func(t *testing.T, w faultWorld) {
		w.do(t, "apply")
		w.configure(t, "round-robin")
	}
	second := func(t *testing.T, w faultWorld) {
		changed(t, w)
		w.do(t, "apply")
	}
	for _, tt := range []struct {
		name    string
		prepare func(*testing.T, faultWorld)
		words   []string
		steps   int // at least
	}{
		{"the first apply", nothing, []string{"apply"}, 2},
		{"another apply", changed, []string{"apply"}, 2},
		{"apply to confirm", changed, []string{"apply", "--confirm", "1h"}, 3},
		{"confirm", func(t *testing.T, w faultWorld) { changed(t, w); w.do(t, "apply", "--confirm", "1h") }, []string{"confirm"}, 1},
		{"rollback", second, []string{"rollback"}, 2},
		{"rollback of the first apply", first, []string{"rollback"}, 2},
		{"rollback of a flush", func(t *testing.T, w faultWorld) { first(t, w); w.do(t, "flush") }, []string{"rollback"}, 2},
		{"flush", first, []string{"flush"}, 2},
		{"drain", first, []string{"drain", "farm/a"}, 2},
		{"disable", first, []string{"disable", "farm/a"}, 2},
		{"enable", func(t *testing.T, w faultWorld) { first(t, w); w.do(t, "drain", "farm/a") }, []string{"enable", "farm/a"}, 2},
		{"weight", first, []string{"weight", "farm/a", "90"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := faultWorld{t.TempDir(), filepath.Join(t.TempDir(), "ftpvip.yaml")}
			w.configure(t, "source-hash")
			t.Cleanup(func() { _, _ = w.run(t, change.Plain, "flush") })
			tt.prepare(t, w)
			before := w.snapshot(t)
			tried := 0
			for n := 1; ; n++ {
				over := false
				for _, late := range []bool{false, true} {
					runner, failed := faulty(n, late)
					code, stderr := w.run(t, runner, tt.words...)
					if *failed == "" {
						over = true
						if code != 0 {
							t.Errorf("without a fault: exit code %d\n%s", code, stderr)
						}
						break
					}
					tried++
					if code != exitFailure || !strings.Contains(stderr, *failed+": "+errFault.Error()+" (everything is as it was before)") {
						t.Errorf("step %d, %q: exit code %d, it says %s", n, *failed, code, stderr)
					}
					if diff := cmp.Diff(before, w.snapshot(t)); diff != "" {
						t.Errorf("step %d, %q, late %v (-before +after)\n%s", n, *failed, late, diff)
					}
				}
				if over {
					break
				}
			}
			if tried < 2*tt.steps {
				t.Errorf("%d faults were tried, want at least %d", tried, 2*tt.steps)
			}
			if diff := cmp.Diff(before, w.snapshot(t)); diff == "" {
				t.Error("in the end nothing changed")
			}
		})
	}
}
