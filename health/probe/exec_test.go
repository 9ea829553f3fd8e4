package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

func execTarget(script string, timeout time.Duration) Target {
	t := targetOf(netip.MustParseAddrPort("[fd00::11]:2121"), configs.Health{Timeout: timeout, Command: []string{"/bin/sh", "-c", script, "sh"}})
	t.Spec.Backend.Weight = 7
	return t
}

func TestExec(t *testing.T) {
	t.Setenv("FTPVIP_SECRET", "do not inherit")
	tests := []struct {
		name, script string
		step         judge.Step
		reason       string
	}{
		{"OK", "echo fine", judge.StepNone, ""},
		{"OK facts", `[ "$FTPVIP_POOL/$FTPVIP_BACKEND/$FTPVIP_ADDRESS/$FTPVIP_PORT/$FTPVIP_FAMILY/$FTPVIP_WEIGHT/$FTPVIP_SECRET" = farm/b/fd00::11/2121/6/7/ ]`, judge.StepNone, ""},
		{"bad", "echo 'disk full'; echo more; exit 3", judge.StepExec, `/bin/sh exited with status 3: "disk full"`},
		{"bad standard error", "echo oops >&2; exit 1", judge.StepExec, `/bin/sh exited with status 1: "oops"`},
		{"bad silent", "exit 2", judge.StepExec, "/bin/sh exited with status 2 and said nothing"},
		{"bad signal", "kill -9 $$", judge.StepExec, "/bin/sh ended by signal: killed"},
		{"bad late", "sleep 100", judge.StepExec, "/bin/sh did not end within 300ms and was killed"},
		{"bad endless", "yes", judge.StepExec, "/bin/sh did not end within 300ms and was killed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timeout := patience(tt.reason)
			start := time.Now()
			r := Exec(t.Context(), execTarget(tt.script, timeout))
			if d := time.Since(start); d > timeout+time.Second {
				t.Errorf("took %v", d)
			}
			if r.Step != tt.step || r.Reason != tt.reason {
				t.Errorf("%s: %s\nwant %s: %s", r.Step, r.Reason, tt.step, tt.reason)
			}
		})
	}
	apart := execTarget(`read -r pid _ _ _ _ session tty _ < /proc/self/stat; [ "$session $tty" = "$$ 0" ] &&
		grep -q '^CapAmb:.0*$' /proc/self/status`, time.Minute)
	if r := Exec(t.Context(), apart); r.Step != judge.StepNone {
		t.Errorf("not a session of its own, without a terminal and ambient capabilities: %s", r.Reason)
	}
	missing := execTarget("", time.Minute)
	missing.Spec.Health.Command = []string{"/nowhere/check"}
	if r := Exec(t.Context(), missing); r.Step != judge.StepLocal || !strings.Contains(r.Reason, "/nowhere/check cannot be run") {
		t.Errorf("%s: %s", r.Step, r.Reason)
	}
}

// TestExecLeavesNothing: neither a time-out nor a normal end leaves a child behind, also one that holds the output.
func TestExecLeavesNothing(t *testing.T) {
	for name, end := range map[string]string{"late": "sleep 100", "normal": "exit 0"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			start := time.Now()
			Exec(t.Context(), execTarget("(sleep 100) & echo $! > "+file+"; "+end, 500*time.Millisecond))
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("took %v", d)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat"); err != nil || strings.Contains(string(stat), ") Z ") {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("process %s lives on", b)
		})
	}
}
