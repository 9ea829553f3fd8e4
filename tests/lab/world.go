package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNeedsRoot is returned where the program may not make namespaces.
var ErrNeedsRoot = errors.New("needs root")

// stageEnv tells a re-executed program which of the three processes it is.
const stageEnv = "FTPVIP_LAB_STAGE"

const (
	stageInit   = "init"   // PID 1 of the world: mounts, reaps, ends when the program ends
	stageInside = "inside" // the program itself
)

// Enter puts the program into a world of its own, by running it again: this process only waits for the other
// one and exits with its status, so in this process Enter does not return unless it fails. Inside, it returns nil
// at once. Call it first thing in main, before anything is printed or started. The error is ErrNeedsRoot (or
// wraps it) where the user may not do this.
func Enter() error {
	switch os.Getenv(stageEnv) {
	case stageInside:
		return nil
	case stageInit:
		code, err := runInit()
		if err != nil {
			fmt.Fprintf(os.Stderr, "lab: %v\n", err)
			code = 1
		}
		os.Exit(code)
	}
	code, err := runOuter()
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

// Inside reports whether this process lives in a world that Enter made.
func Inside() bool { return os.Getenv(stageEnv) == stageInside }

// Main is TestMain's body: it enters the world and runs the tests there. Without root the tests run outside, and
// those that call New are told ErrNeedsRoot.
func Main(m interface{ Run() int }) int {
	if err := Enter(); err != nil && !errors.Is(err, ErrNeedsRoot) {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 1
	}
	return m.Run()
}

// runOuter starts the world and waits for its end.
func runOuter() (int, error) {
	if os.Geteuid() != 0 {
		return 0, ErrNeedsRoot
	}
	// Pdeathsig fires when the thread that started the child ends, so this one has to stay.
	runtime.LockOSThread()

	cmd := again(stageInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Pdeathsig:  unix.SIGKILL,
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, unix.EPERM) {
			return 0, fmt.Errorf("%w that may make namespaces: %w", ErrNeedsRoot, err)
		}
		return 0, fmt.Errorf("making PID, mount and network namespaces: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-signals:
			_ = cmd.Process.Kill() // the world ends with its PID 1
		case <-ended:
		}
	}()
	_ = cmd.Wait()
	close(ended)
	return exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// runInit is PID 1: it furnishes the world, starts the program and collects the dead until the program is done.
func runInit() (int, error) {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP) // the outer process decides
	if err := furnish(); err != nil {
		return 0, err
	}
	cmd := again(stageInside)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the program inside: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for the program inside: %w", err)
		case pid == cmd.Process.Pid:
			return exitCode(status), nil
		}
	}
}

// furnish mounts what the world needs of its own.
func furnish() error {
	mounts := []struct {
		source, target, fstype string
		flags                  uintptr
		data                   string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""}, // nothing gets out
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"}, // has netns/ and all our files
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	if err := os.Mkdir(tempDir, 0o755); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", tempDir); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("looking for lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// tempDir is TMPDIR in the world, so that temporary files end with it.
const tempDir = "/run/tmp"

// again is this program, to be started once more at another stage.
func again(stage string) *exec.Cmd {
	return &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   os.Args,
		Env:    append(os.Environ(), stageEnv+"="+stage),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
}

// exitCode is what a shell would call the status.
func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
