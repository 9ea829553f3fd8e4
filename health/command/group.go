// Package command runs the admin's own programs, of checks and of notifications: in a process group of their own, without
// our capabilities, and never longer than they may.
package command

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputWait is how long a command's output is read once it has ended: a process that left its group may hold it.
const outputWait = 100 * time.Millisecond

// runGroup runs a command in a session and process group of its own, which is killed when the command ends, and when its
// context does. It has no way to the terminal of who runs us, and gets no capability from us: what it needs more than a
// user's rights is its own affair (sudo, capabilities of its file).
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputWait
	if err := startBare(cmd); err != nil {
		return err
	}
	// While the leader is not reaped, the group's number is nobody else's.
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left
	return cmd.Wait()
}

// startBare starts a command without the ambient capabilities that our services have: programs inherit them otherwise.
// They are the thread's, and of no other use to it.
func startBare(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) { // a kernel before 4.3 has none
		return fmt.Errorf("giving up ambient capabilities: %w", err)
	}
	return cmd.Start()
}
