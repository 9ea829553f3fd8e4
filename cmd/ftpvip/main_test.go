package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ftpvip/tests/lab"
)

// TestMain makes this test binary the program ftpvip for the scripts, which run in a network namespace.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "await-confirm") { // what an apply under test leaves behind
		main()
	}
	// Before testscript makes a folder that it removes at its end: outside of the world, Enter does not return.
	if filepath.Base(os.Args[0]) != "ftpvip" {
		if err := lab.Enter(); err != nil {
			fmt.Fprintln(os.Stderr, "scripts that need the kernel are not run:", err)
		}
	}
	testscript.Main(m, map[string]func(){"ftpvip": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "kernel":
				return lab.Inside() && lab.NFT.Check() == nil, nil
			case "cgo":
				return builtWithCgo(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": wantExit},
	})
}

func builtWithCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})
}

// TestKernelScripts fails where the scripts that need the kernel would all be skipped but must not be.
func TestKernelScripts(t *testing.T) { lab.Require(t, lab.Root, lab.NFT) }

// wantExit runs a program and wants it to exit with a given code: exitcode 64 ftpvip bogus.
func wantExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE PROGRAM [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s exits with %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// Every broken file of the configuration's own tests exits with 78 and names the file.
func TestBrokenFiles(t *testing.T) {
	files, err := filepath.Glob("../../configs/testdata/invalid-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("only %d broken files", len(files))
	}
	for _, f := range files {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), []string{"-c", f, "check"}, &stdout, &stderr); code != exitConfig {
			t.Errorf("%s: exit code %d", f, code)
		}
		if stdout.Len() > 0 || !strings.Contains(stderr.String(), f) {
			t.Errorf("%s: stdout %q, stderr %q", f, stdout.String(), stderr.String())
		}
	}
}
