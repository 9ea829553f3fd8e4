package lab_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// sleeperEnv marks the processes of TestKilledWorldLeavesNothing.
const sleeperEnv = "FTPVIP_LAB_SLEEPER=1"

// TestSleeper is not a test but the victim of the next one: a whole lab that waits to be killed.
func TestSleeper(t *testing.T) {
	if os.Getenv("FTPVIP_LAB_SLEEPER") == "" {
		t.Skip("only TestKilledWorldLeavesNothing wants it")
	}
	l := newLab(t, lab.Options{})
	start(t, l, l.Backends[0], server.Embedded, "ftp1")
	if err := os.WriteFile(os.Getenv("FTPVIP_LAB_BUILT"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// TestKilledWorldLeavesNothing kills the outermost process of a world that is full of life, with the one signal
// that nobody can handle.
func TestKilledWorldLeavesNothing(t *testing.T) {
	l := newLab(t, lab.Options{})
	before := marked(t)
	// The file tells through the mount namespaces: /run is another one inside, /tmp is not.
	dir, err := os.MkdirTemp("/tmp", "ftpvip-lab-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	built := filepath.Join(dir, "built")
	p, err := l.Client.Start(t.Context(), lab.Command{
		Args: []string{"/proc/self/exe", "-test.run", "^TestSleeper$", "-test.v"},
		Env:  []string{sleeperEnv, "FTPVIP_LAB_BUILT=" + built},
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the world to be built", func() bool {
		_, err := os.Stat(built)
		return err == nil
	})
	if n := marked(t); n < before+4 { // outer, init, tests, FTP server
		t.Fatalf("%d processes, want 4 at least", n)
	}
	if err := p.Signal(9); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "every process to be gone", func() bool { return marked(t) == before })
}

// marked counts the living processes with sleeperEnv.
func marked(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(sleeperEnv)) {
			n++
		}
	}
	return n
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("waiting for %s", what)
}

// TestOrphansAreReaped leaves PID 1 a child that it did not start.
func TestOrphansAreReaped(t *testing.T) {
	l := newLab(t, lab.Options{})
	r, err := l.Client.Run(t.Context(), lab.Command{Args: []string{"sh", "-c", "sleep 0.05 >/dev/null 2>&1 & echo $!"}})
	if err != nil || r.Code != 0 {
		t.Fatal(err, r)
	}
	stat := filepath.Join("/proc", strings.TrimSpace(r.Stdout))
	waitFor(t, "the orphan to be gone, not a zombie", func() bool {
		_, err := os.Stat(stat)
		return os.IsNotExist(err)
	})
}

// TestRunKillsAtDeadline checks that nothing outlives its context, grandchildren included.
func TestRunKillsAtDeadline(t *testing.T) {
	l := newLab(t, lab.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := l.Client.Run(ctx, lab.Command{Args: []string{"sh", "-c", "sleep 60 & wait"}})
	if err == nil || time.Since(begin) > 10*time.Second {
		t.Fatalf("%v after %v", err, time.Since(begin))
	}
}

// TestCloseRemovesNamespaces builds the same lab twice in one world.
func TestCloseRemovesNamespaces(t *testing.T) {
	for range 2 {
		l := newLab(t, lab.Options{Arm: lab.OneArm, Backends: 3})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if names, _ := filepath.Glob("/run/netns/*"); len(names) > 0 {
			t.Errorf("left over: %v", names)
		}
	}
}
