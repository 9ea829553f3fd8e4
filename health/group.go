package health

import (
	"errors"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputWait is how long a command's output is read once it has ended: a process that left its group may hold it.
const outputWait = 100 * time.Millisecond

// runGroup runs a command in a process group of its own, which is killed when the command ends, and when its context
// does.
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputWait
	if err := cmd.Start(); err != nil {
		return err
	}
	// While the leader is not reaped, the group's number is nobody else's.
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left
	return cmd.Wait()
}
