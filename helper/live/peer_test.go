package live

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listenAs has a process of another user listen on a socket in dir, which is root's alone. It is never accepted.
func listenAs(t *testing.T, uid uint32, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a process of another user")
	}
	dir, err := os.MkdirTemp("", "stranger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, int(uid), int(uid)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c",
		"import socket,sys,signal\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(9)\nprint('x',flush=True)\nsignal.pause()",
		filepath.Join(dir, "s"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "s"), path); err != nil {
		t.Fatal(err)
	}
}

// TestStranger: who is neither root nor the directory's owner is not asked anything, and a helper takes the place.
func TestStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	listenAs(t, 4711, path)
	for name, err := range map[string]error{
		"figures":  func() error { _, err := AskFigures(t.Context(), path); return err }(),
		"sessions": func() error { _, err := AskSessions(t.Context(), path); return err }(),
		"reload":   Reload(t.Context(), path),
	} {
		if !errors.Is(err, ErrStranger) || !strings.Contains(err.Error(), "of user 4711") {
			t.Errorf("%s: %v", name, err)
		}
	}
	start(t, path, example)
	if _, err := AskFigures(t.Context(), path); err != nil {
		t.Error(err)
	}
}

// TestReload: the signal goes to the process that listens, whatever number it answers, with every way to find it.
func TestReload(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	path := filepath.Join(t.TempDir(), SocketName)
	start(t, path, example) // it says that it is process 7
	if err := Reload(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	<-hangup

	c, err := dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for name, open := range map[string]func(int) (int, error){"pidfd": peerPidfd, "number": peerByNumber} {
		var fd int
		err := control(c, func(s int) (err error) { fd, err = open(s); return err })
		if errors.Is(err, unix.ENOPROTOOPT) {
			continue // Linux before 6.5
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := errors.Join(unix.PidfdSendSignal(fd, unix.SIGHUP, nil, 0), unix.Close(fd)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		<-hangup
	}
}

func TestReloadNobody(t *testing.T) {
	if err := Reload(t.Context(), filepath.Join(t.TempDir(), SocketName)); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

// TestEndlessAnswer: an answer is read up to a bound.
func TestEndlessAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		for much := make([]byte, 1<<20); err == nil; {
			_, err = c.Write(much)
		}
		_ = c.Close()
	}()
	if _, err := AskFigures(t.Context(), path); err == nil || !strings.Contains(err.Error(), "the answer has more than") {
		t.Error(err)
	}
	<-ended
	_ = l.Close()
}
