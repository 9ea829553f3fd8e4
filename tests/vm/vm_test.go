//go:build vm

// Package vm tests the virtual machine in which the end-to-end tests meet a stock kernel: that the guest has all
// they need, and that tests/vm/run tells its caller the truth about what happened inside.
//
// It takes minutes and needs the packages named in README.md; hence the build tag.
package vm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// guestEnv is set for the copy of this test binary that runs in the guest.
const guestEnv = "FTPVIP_VM_GUEST"

// needs is what the end-to-end tests ask of the guest. Each script runs there under `sh -eu`.
var needs = []struct{ name, script string }{
	{"Debian's kernel", `
		uname -r | grep -e '-amd64$'
		grep Debian /proc/version`},
	{"modules by name", `
		modprobe -a nfnetlink_cthelper nf_conntrack_sane nf_flow_table ip_vs nfnetlink_queue`},
	{"nft statements load their own modules", `
		ip netns add nft
		ip -n nft link add v0 type veth peer name v1
		ip netns exec nft nft -f - <<'RULES'
		table inet t {
			ct helper sane { type "sane" protocol tcp; }
			flowtable f { hook ingress priority 0; devices = { v0, v1 }; }
			chain assign {
				type filter hook prerouting priority -150
				tcp dport 21 ct helper set "sane"
			}
			chain prerouting {
				type nat hook prerouting priority dstnat
				tcp dport 21 dnat ip to jhash ip saddr mod 2 map { 0 : 192.0.2.1 . 21, 1 : 192.0.2.2 . 21 }
				tcp dport 22 dnat ip to numgen inc mod 2 map { 0 : 192.0.2.1 . 22, 1 : 192.0.2.2 . 22 }
			}
			chain control {
				type filter hook postrouting priority 300
				tcp dport 21 queue flags bypass to 0-1
			}
			chain empty {
				type filter hook forward priority filter
				tcp dport 21 reject with tcp reset
			}
		}
RULES
		ip netns exec nft nft list ruleset | grep 'queue flags bypass to 0-1'`},
	{"transfers between namespaces, over veth, seen by conntrack", `
		ip netns add client
		ip netns add server
		ip link add c netns client type veth peer name s netns server
		ip -n client addr add 192.0.2.1/24 dev c
		ip -n server addr add 192.0.2.2/24 dev s
		ip -n client link set c up
		ip -n server link set s up
		ip netns exec client nft 'add table t; add chain t c { type filter hook output priority 0; };
			add rule t c ct state new accept'
		cd "$(mktemp -d)"
		mkdir root
		head -c 100000 /dev/urandom >root/file
		printf '%s\n' listen=YES background=NO anonymous_enable=YES "anon_root=$PWD/root" >vsftpd.conf
		ip netns exec server /usr/sbin/vsftpd "$PWD/vsftpd.conf" >vsftpd.log 2>&1 &
		ip netns exec server /usr/bin/python3 -m pyftpdlib -p 2121 -d root >pyftpdlib.log 2>&1 &
		for port in 21 2121; do
			ip netns exec client curl -sS --retry 20 --retry-delay 1 --retry-connrefused -o got ftp://192.0.2.2:$port/file
			cmp got root/file
			rm got
			ip netns exec client lftp -c "set net:max-retries 3; get ftp://192.0.2.2:$port/file -o got"
			cmp got root/file
			ip netns exec client conntrack -L | grep -w dport=$port
		done`},
	{"namespaces of processes, mounts and users", `
		test "$(unshare --net --pid --mount --fork --mount-proc sh -c 'echo $$')" = 1
		unshare --user --map-root-user --net nft list ruleset
		ip netns add short
		ip netns exec short ip link set lo up
		ip netns del short`},
	{"devices and folders", `
		head -c 1 /dev/urandom /dev/random >/dev/null
		test -c /dev/ptmx
		touch /dev/shm/x /tmp/x /run/x /root/x /usr/x
		test -e /sys/fs/cgroup/cgroup.procs
		echo x | cat /dev/stdin | grep x
		grep rng /sys/class/misc/hw_random/rng_current
		ip -o addr show lo | grep 127.0.0.1
		getent hosts "$(hostname)"
		test "$(ulimit -n)" -ge 1024`},
	{"no signal is ignored", `
		grep 'SigIgn:.*0000000000000000' /proc/self/status`},
}

// TestGuest runs itself, a Go test binary, in the guest.
func TestGuest(t *testing.T) {
	if os.Getenv(guestEnv) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatalf("finding the test binary: %v", err)
		}
		got := runVM(t, "--env", guestEnv+"=1", "--", self, "-test.v", "-test.run=^TestGuest$", "-test.timeout=5m")
		t.Logf("in the guest:\n%s", got.stdout)
		if got.code != 0 {
			t.Errorf("exit code %d\n%s", got.code, got.stderr)
		}
		return
	}
	for _, tt := range needs {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sh", "-euxc", tt.script)
			// A process group, for the servers that a script leaves running.
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.WaitDelay = time.Second
			defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestRun checks what a caller of tests/vm/run relies on.
func TestRun(t *testing.T) {
	awkward := "a 'b' \"c\" $HOME \\ \n\t*;&|é"
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var allBytes strings.Builder
	for i := range 1 << 20 {
		allBytes.WriteByte(byte(i ^ i>>8))
	}
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "bytes"), []byte(allBytes.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name   string
		args   []string
		stdout string
		stderr string // a part of it
		code   int
	}{
		{
			name:   "exit code, and standard error in its place",
			args:   []string{"--", "sh", "-c", "echo a; echo b >&2; echo c >/dev/stderr; printf d; exit 7"},
			stdout: "a\nb\nc\nd",
			code:   7,
		},
		{
			name: "killed by a signal",
			args: []string{"--", "sh", "-c", "kill -KILL $$"},
			code: 128 + int(syscall.SIGKILL),
		},
		{
			name: "arguments, environment, working directory",
			args: []string{"--env", "AWKWARD=" + awkward, "--env=EMPTY=", "--",
				"sh", "-euc", `echo "$1|$AWKWARD|$EMPTY|$PWD|${FTPVIP_VM_CACHE-unset}"`, "sh", awkward},
			stdout: awkward + "|" + awkward + "||" + cwd + "|unset\n",
		},
		{
			name:   "every byte arrives",
			args:   []string{"--", "cat", filepath.Join(out, "bytes")},
			stdout: allBytes.String(),
		},
		{
			name: "files for the host, and no others",
			args: []string{"--out", filepath.Join(out, "made"), "--",
				"sh", "-euc", `echo result >"$0/made/file"; echo lost >"$0/lost"; cat "$0/lost"`, out},
			stdout: "lost\n",
		},
		{
			name:   "a daemon left behind does not hold the VM",
			args:   []string{"--", "sh", "-c", "sleep 1000 & echo done"},
			stdout: "done\n",
		},
		{
			name:   "time-out",
			args:   []string{"--timeout", "15", "--", "sleep", "1000"},
			stderr: "not done after 15 s",
			code:   124,
		},
		{
			name:   "kernel panic",
			args:   []string{"--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"},
			stderr: "sysrq triggered crash",
			code:   125,
		},
		{
			name:   "does not boot",
			args:   []string{"--memory", "40M", "--", "true"},
			stderr: "the VM did not boot",
			code:   125,
		},
		{
			name:   "wrong usage",
			args:   []string{"--fast", "--", "true"},
			stderr: "no such option: --fast",
			code:   64,
		},
	}
	t.Run("table", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				got := runVM(t, tt.args...)
				if got.stdout != tt.stdout {
					t.Errorf("standard output (-want +got):\n%.2000s", cmp.Diff(tt.stdout, got.stdout))
				}
				if !strings.Contains(got.stderr, tt.stderr) {
					t.Errorf("standard error lacks %q", tt.stderr)
				}
				if got.code != tt.code {
					t.Errorf("exit code %d, want %d", got.code, tt.code)
				}
				if t.Failed() {
					t.Logf("standard error:\n%s", got.stderr)
				}
			})
		}
	})

	if got, err := os.ReadFile(filepath.Join(out, "made", "file")); err != nil || string(got) != "result\n" {
		t.Errorf("--out: the host has %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(out, "lost")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a write outside --out reached the host: %v", err)
	}
}

// TestKilled checks that qemu does not outlive the script, whatever ends it.
func TestKilled(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cmd, tmp := command(t, "--", "sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "qemu to start", 3*time.Minute, func() bool { return len(qemus(t, tmp)) > 0 })
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its status is the signal's, or 128 + the signal
			eventually(t, "qemu to end", 10*time.Second, func() bool { return len(qemus(t, tmp)) == 0 })
			if sig != syscall.SIGKILL { // which leaves nobody to remove files
				checkEmpty(t, tmp)
			}
		})
	}
}

type result struct {
	stdout, stderr string
	code           int
}

// runVM runs tests/vm/run to its end and checks that it leaves nothing behind.
func runVM(t *testing.T, args ...string) result {
	t.Helper()
	cmd, tmp := command(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", cmd, err)
	}
	if left := qemus(t, tmp); len(left) > 0 {
		t.Errorf("qemu is still there: processes %v", left)
	}
	checkEmpty(t, tmp)
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// command returns tests/vm/run with a folder of its own for temporary files.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	tmp = t.TempDir()
	cmd = exec.CommandContext(t.Context(), "./run", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd, tmp
}

// qemus returns the processes of qemu that work in tmp.
func qemus(t *testing.T, tmp string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		if bytes.HasPrefix(line, []byte("qemu-system-")) && bytes.Contains(line, []byte(tmp)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left behind: %s", entry.Name())
	}
}

func eventually(t *testing.T, what string, within time.Duration, done func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", within, what)
		}
	}
}
