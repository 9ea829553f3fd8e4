package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/helper/live"
	"ftpvip/tests/lab"
)

// The services' user in these tests, and somebody else.
const (
	ownerID    = 4711
	ownerGroup = 4712
	otherID    = 4713
)

// program is ftpvip as make builds it: one with cgo cannot give up being root. FTPVIP_BIN names another.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("FTPVIP_BIN"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "ftpvip-trust") // removed with the world's /tmp
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ftpvip")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// trustWorld is a state directory of the services' user and a configuration of root's.
type trustWorld struct {
	base, dir, file string
}

const trustConfig = `vips:
  - {name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}
pools:
  - name: farm
    scheduler: %s
    backends: [{name: a, addresses: [10.2.0.11], port: 9}]
    health: {check: none}
`

func newTrustWorld(t *testing.T) trustWorld {
	t.Helper()
	lab.Require(t, lab.Root, lab.NFT)
	base, err := os.MkdirTemp("", "trust") // t.TempDir's parent lets nobody in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	w := trustWorld{base, filepath.Join(base, "state"), filepath.Join(base, "ftpvip.yaml")}
	must(t, os.Chmod(base, 0o755))
	must(t, os.Mkdir(w.dir, 0o750))
	must(t, os.Chown(w.dir, ownerID, ownerGroup))
	w.configure(t, "source-hash")
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w trustWorld) configure(t *testing.T, scheduler string) {
	t.Helper()
	must(t, os.WriteFile(w.file, fmt.Appendf(nil, trustConfig, scheduler), 0o644))
}

// plant writes a file as the services' user would.
func (w trustWorld) plant(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	must(t, os.WriteFile(path, content, 0o755))
	must(t, os.Chown(path, ownerID, ownerGroup))
	return path
}

// command is the program as root runs it.
func (w trustWorld) command(t *testing.T, words ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	must(t, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute) // against hanging; also in a cleanup
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, append([]string{"-c", w.file, "--state-dir", w.dir}, words...)...)
}

// run runs the program and returns its exit code and all that it says.
func (w trustWorld) run(t *testing.T, words ...string) (int, string) {
	t.Helper()
	return finish(t, w.command(t, words...))
}

func finish(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out.String())
	}
	return 0, out.String()
}

func (w trustWorld) do(t *testing.T, words ...string) string {
	t.Helper()
	code, out := w.run(t, words...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", words, code, out)
	}
	return out
}

// TestPlantedProgram: the services' user writes a record of a rollback whose configuration has programs to run. A round
// that root starts does not run them as root, nor with a capability, a terminal or a file that root has open.
func TestPlantedProgram(t *testing.T) {
	w := newTrustWorld(t)
	script := w.plant(t, "evil", []byte(`#!/bin/sh
{ id -u; id -G; grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):' /proc/self/status
  ls -l /proc/$$/fd; cat /proc/$$/stat; env; } > "$1" 2>&1
[ "$1" != "$2" ]
`))
	check, told := filepath.Join(w.dir, "check"), filepath.Join(w.dir, "told")
	text := fmt.Sprintf(`vips: [{name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}]
pools:
  - name: farm
    backends: [{name: a, addresses: [10.2.0.11], port: 9}]
    health: {check: exec, command: [%s, %s, %s], fall: 1, notify: [%s, %s, x]}
`, script, check, check, script, told)
	cfg, err := configs.Parse("evil.yaml", []byte(text), nil)
	must(t, err)
	record := inforce.Record{Current: new(inforce.New("/etc/ftpvip/ftpvip.yaml", []byte(text), cfg, time.Now())), RolledBack: time.Now()}
	b, err := record.Encode()
	must(t, err)
	w.plant(t, "applied.json", b)
	secret, err := os.Open("/etc/shadow")
	must(t, err)
	defer secret.Close()
	cmd := w.command(t, "health")
	cmd.ExtraFiles = []*os.File{secret}
	code, out := finish(t, cmd)
	for _, file := range []string{check, told} {
		proof, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("the program did not run: %v\nexit code %d\n%s", err, code, out)
		}
		for _, want := range []string{
			"4711\n4712\n", "Uid:\t4711\t4711\t4711\t4711\n", "Gid:\t4712\t4712\t4712\t4712\n", "Groups:\t \n",
			"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n",
			"NoNewPrivs:\t1\n",
		} {
			if !bytes.Contains(proof, []byte(want)) {
				t.Errorf("%s lacks %q:\n%s", file, want, proof)
			}
		}
		if bytes.Contains(proof, []byte("/etc/shadow")) {
			t.Errorf("the program has root's file:\n%s", proof)
		}
		for line := range strings.Lines(string(proof)) { // pid (comm) state ppid pgrp session tty_nr
			if f := strings.Fields(line); len(f) > 40 && (f[0] != f[5] || f[6] != "0") {
				t.Errorf("not a session of its own without a terminal: %s", line)
			}
		}
	}
}

// TestOwnPrograms: root's own directory is root's, and so are its programs.
func TestOwnPrograms(t *testing.T) {
	w := newTrustWorld(t)
	must(t, os.Chown(w.dir, 0, 0))
	proof := filepath.Join(w.dir, "proof")
	must(t, os.WriteFile(w.file, fmt.Appendf(nil, `vips: [{name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}]
pools:
  - name: farm
    backends: [{name: a, addresses: [10.2.0.11], port: 9}]
    health: {check: exec, command: [/bin/sh, -c, id -u > %s]}
`, proof), 0o600))
	w.do(t, "health")
	if b, err := os.ReadFile(proof); err != nil || string(b) != "0\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestOthersOnlyLook: who is neither root nor the owner may not start a round, whatever the owner allows.
func TestOthersOnlyLook(t *testing.T) {
	w := newTrustWorld(t)
	must(t, os.Chmod(w.dir, 0o770))
	for _, words := range [][]string{{"health"}, {"flush"}, {"apply"}, {"drain", "farm/a"}, {"rollback"}} {
		cmd := w.command(t, words...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherID, Gid: ownerGroup}}
		code, out := finish(t, cmd)
		if code != exitPermission || !strings.Contains(out, "belongs to user 4711, and this is user 4713") {
			t.Errorf("%v: exit code %d\n%s", words, code, out)
		}
	}
}

// TestRootsDirectoryIsRootsAlone: root trusts no directory that others may write to, and no file of theirs in its own.
func TestRootsDirectoryIsRootsAlone(t *testing.T) {
	w := newTrustWorld(t)
	for _, tt := range []struct {
		name     string
		uid, gid int
		mode     fs.FileMode
		want     string
	}{
		{"everybody may write", 0, 0, 0o777 | fs.ModeSticky, "others may write to the state directory"},
		{"a group may write", 0, ownerGroup, 0o770, "others may write to the state directory"},
		{"everybody may write to the owner's", ownerID, ownerGroup, 0o777, "others may write to the state directory"},
		{"the owner has root's group", ownerID, 0, 0o750, "whose group would be root's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, os.Chown(w.dir, tt.uid, tt.gid))
			must(t, os.Chmod(w.dir, tt.mode))
			for _, words := range [][]string{{"health"}, {"flush"}, {"check"}, {"status"}} {
				if code, out := w.run(t, words...); code != exitFailure && code != exitTrouble || !strings.Contains(out, tt.want) {
					t.Errorf("%v: exit code %d\n%s", words, code, out)
				}
			}
		})
	}
	must(t, os.Chown(w.dir, 0, 0))
	must(t, os.Chmod(w.dir, 0o750))
	path := w.plant(t, "applied.json", []byte(`{"version":1}`))
	if code, out := w.run(t, "health"); code != exitTrouble || !strings.Contains(out, "others than root may write to "+path) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestRootsConfiguration: a configuration that only root may read works, and root is told about the services; so does one
// from a pipe.
func TestRootsConfiguration(t *testing.T) {
	w := newTrustWorld(t)
	must(t, os.Chmod(w.file, 0o600))
	for _, words := range [][]string{{"apply"}, {"diff"}, {"drain", "farm/a"}, {"disable", "farm/a"}} {
		if out := w.do(t, words...); !strings.Contains(out, "the services, which run as the owner of the state directory, may not") {
			t.Errorf("%v does not warn:\n%s", words, out)
		}
	}
	if code, out := w.run(t, "check"); code != exitPermission || !strings.Contains(out, "is valid, but the services") {
		t.Errorf("check: exit code %d\n%s", code, out)
	}
	must(t, os.Chmod(w.file, 0o644))
	cmd := w.command(t, "check", "-c", "/dev/stdin")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(trustConfig, "random"))
	if code, out := finish(t, cmd); code != 0 || !strings.Contains(out, "/dev/stdin is valid") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	w.do(t, "flush")
}

// TestRootsFolder: a configuration in a folder that only root may enter works with each command: none of them needs more
// than check does. What the commands write is the owner's.
func TestRootsFolder(t *testing.T) {
	w := newTrustWorld(t)
	folder := filepath.Join(w.base, "root")
	must(t, os.Mkdir(folder, 0o700))
	w.file = filepath.Join(folder, "ftpvip.yaml")
	w.configure(t, "source-hash")
	must(t, os.Chmod(w.file, 0o600))
	t.Cleanup(func() { w.do(t, "flush") })
	for _, words := range [][]string{
		{"apply", "--dry-run"}, {"apply"}, {"diff"}, {"drain", "farm/a"}, {"enable", "farm/a"}, {"weight", "farm/a", "7"},
		{"health"}, {"rollback"}, {"apply", "--confirm", "1h"}, {"confirm"}, {"disable", "farm/a"}, {"enable", "farm/a"}, {"flush"}, {"rollback"},
	} {
		w.do(t, words...)
	}
	if code, out := w.run(t, "status"); code != exitFailure || !strings.Contains(out, "PROBLEM: the helper is NOT LISTENING") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	w.ownersAlone(t)
}

// ownersAlone wants all files of the state directory to be the owner's.
func (w trustWorld) ownersAlone(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(w.dir)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if st := info.Sys().(*syscall.Stat_t); st.Uid != ownerID || st.Gid != ownerGroup {
			t.Errorf("%s belongs to user %d and group %d", e.Name(), st.Uid, st.Gid)
		}
	}
}

// TestConfirmAsOwner: what waits for a confirmation runs as the owner, and can still roll back.
func TestConfirmAsOwner(t *testing.T) {
	w := newTrustWorld(t)
	w.do(t, "apply")
	before := w.do(t, "diff")
	w.configure(t, "random")
	w.do(t, "apply", "--confirm", "2s")
	t.Cleanup(func() { w.do(t, "flush") })
	user := waiters(t, w.dir)
	if len(user) != 1 || user[0] != ownerID {
		t.Errorf("waiting processes of the users %v, want one of %d", user, ownerID)
	}
	for len(waiters(t, w.dir)) > 0 { // until it has done its work
		time.Sleep(50 * time.Millisecond)
	}
	w.configure(t, "source-hash")
	if after := w.do(t, "diff"); before != after || after != "" {
		log, _ := os.ReadFile(filepath.Join(w.dir, operate.AwaitLog))
		t.Errorf("it was not rolled back: %s\nits log: %s", after, log)
	}
	w.ownersAlone(t)
}

// waiters returns the users of the processes that wait for a confirmation.
func waiters(t *testing.T, dir string) (users []uint32) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, line := range lines {
		b, err := os.ReadFile(line)
		words := strings.Split(string(b), "\x00")
		if err != nil || !slices.Contains(words, "await-confirm") || !slices.Contains(words, dir) {
			continue
		}
		var st unix.Stat_t
		status, err := os.ReadFile(filepath.Join(filepath.Dir(line), "status"))
		if err != nil || unix.Stat(line, &st) != nil {
			continue
		}
		var uid uint32
		_, after, _ := strings.Cut(string(status), "\nUid:\t")
		if _, err := fmt.Sscan(after, &uid); err == nil {
			users = append(users, uid)
		}
	}
	return users
}

// noter is a program that notes the signals that it gets, and ends with SIGUSR1. With a path and an answer it is a false
// helper on that socket.
const noter = `
import os, signal, socket, sys
notes, *socketed = sys.argv[1:]
def got(n, frame):
    with open(notes, "a") as f:
        f.write("%d\n" % n)
    if n == signal.SIGUSR1:
        os._exit(0)
signal.signal(signal.SIGHUP, got)
signal.signal(signal.SIGUSR1, got)
s = socket.socket(socket.AF_UNIX)
if socketed:
    s.bind(socketed[0])
    s.listen(16)
print("ready", flush=True)
while True:
    if not socketed:
        signal.pause()
        continue
    c = s.accept()[0]
    c.recv(4096)
    c.sendall(socketed[1].encode())
    c.close()
`

// startNoter starts a noter of a user, and returns what it noted when it is asked.
func (w trustWorld) startNoter(t *testing.T, uid, gid uint32, notes string, socketed ...string) (pid int, noted func() string) {
	t.Helper()
	path := w.plant(t, notes, nil)
	must(t, os.Chown(path, int(uid), int(gid)))
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", append([]string{"-c", noter, path}, socketed...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, func() string {
		must(t, cmd.Process.Signal(syscall.SIGUSR1)) // a signal of a lower number that waits comes first
		_ = cmd.Wait()
		b, err := os.ReadFile(path)
		must(t, err)
		return string(b)
	}
}

// TestFalseHelper: a rollback signals the process that listens on the socket, and not the one that an answer names.
func TestFalseHelper(t *testing.T) {
	w := newTrustWorld(t)
	w.do(t, "apply")
	t.Cleanup(func() { w.do(t, "flush") })
	w.configure(t, "random")
	w.do(t, "apply")
	victim, victimNoted := w.startNoter(t, 0, 0, "victim")
	answer, err := json.Marshal(live.Figures{PID: victim})
	must(t, err)
	_, helperNoted := w.startNoter(t, ownerID, ownerGroup, "false", filepath.Join(w.dir, live.SocketName), string(answer))
	w.do(t, "rollback")
	if got := victimNoted(); got != "10\n" {
		t.Errorf("the process that the answer names got the signals %q", got)
	}
	if got := helperNoted(); got != "1\n10\n" {
		t.Errorf("the process that listens got the signals %q", got)
	}
}
