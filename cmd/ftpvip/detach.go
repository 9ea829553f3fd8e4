package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs/inforce"
	"ftpvip/rules/change"
)

// What the process that waits for a confirmation says: first that it is there, then that it waits. Between the two it is
// given the token of what it waits for, or ends with its standard input.
const (
	present = "ready to wait\n"
	awaits  = "awaiting the confirmation\n"
)

// awaitLog is the file in the state directory that has what that process logged.
const awaitLog = "confirm.log"

// awaitStart is how long that process may take to start.
const awaitStart = 10 * time.Second

// waiter is the process that rolls back, as who started it has it. It outlives us and the session of the admin, who
// may well have cut himself off: it has a session of its own, and under systemd a scope of its own, for logind may kill
// all that is in the admin's (KillUserProcesses= of logind.conf(5)). Only root gets a scope from systemd, so it is started
// before we become the owner of the state directory, as it then does itself.
type waiter struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *os.File
	said *bufio.Reader
	told bool // that it has to wait, also when we are gone
}

// startWaiter starts the process.
func (a *app) startWaiter(after time.Duration) (*waiter, error) {
	var errs []error
	for _, words := range awaitCommands() {
		w, err := start(append(words, a.awaitArgs(after)...))
		if err == nil {
			return w, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("starting the process that waits for the confirmation: %w", errors.Join(errs...))
}

// awaitCommands lists the ways to start ourselves, the best first.
func awaitCommands() [][]string {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	plain := []string{self}
	if !exists("/run/systemd/system") { // sd_booted(3)
		return [][]string{plain}
	}
	unit := "ftpvip-confirm-" + strings.ToLower(rand.Text())
	return [][]string{{"systemd-run", "--quiet", "--no-ask-password", "--scope", "--collect", "--unit=" + unit, "--", self}, plain}
}

func (a *app) awaitArgs(after time.Duration) []string {
	return []string{
		"--config", a.v.GetString("config"), "--state-dir", a.v.GetString("state-dir"), "--log-level", a.v.GetString("log-level"),
		"await-confirm", "--after", after.String(),
	}
}

// start starts a program in a session of its own, and waits until it says that it is there.
func start(words []string) (*waiter, error) {
	out, into, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = into.Close() }()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = into, into
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", words[0], err), out.Close())
	}
	w := &waiter{cmd: cmd, in: in, out: out, said: bufio.NewReader(out)}
	_ = into.Close() // so that we see the end of what the process says
	if err := w.hear(present); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", words[0], err), w.end())
	}
	return w, nil
}

// hear wants the process to say a line.
func (w *waiter) hear(want string) error {
	if err := w.out.SetReadDeadline(time.Now().Add(awaitStart)); err != nil {
		return err
	}
	line, err := w.said.ReadString('\n')
	if line == want {
		return nil
	}
	rest, _ := io.ReadAll(io.LimitReader(w.said, 4096)) // what it says before it ends
	if line += string(rest); line != "" {
		return errors.New("it says: " + strings.TrimSpace(line))
	}
	return fmt.Errorf("it ended, or was silent for %s: %w", awaitStart, err)
}

// await makes the process wait for the confirmation of an apply.
func (w *waiter) await(token string) error {
	w.told = true
	if _, err := io.WriteString(w.in, token+"\n"); err != nil {
		return err
	}
	return w.hear(awaits)
}

// leave leaves the process alone, and ends it where it has nothing to wait for.
func (w *waiter) leave() error {
	if !w.told {
		return w.end()
	}
	return errors.Join(w.in.Close(), w.out.Close())
}

// end ends the process.
func (w *waiter) end() error {
	w.told = false
	_ = w.in.Close()
	_ = w.out.Close()
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the process that waits for the confirmation: %w", err)
	}
	_ = w.cmd.Wait() // it was killed
	return nil
}

// waiting is the step that makes the process wait that will roll back.
func (a *app) waiting(p *inforce.Pending) change.Step {
	return change.Step{
		Name: "starting the process that waits for the confirmation",
		Do:   func() error { return a.waiter.await(p.Token) },
		Undo: func() error { return a.waiter.end() },
	}
}

// presentSelf is the other end: it says that the process is there, waits for the token, and returns it, or "" when nobody
// gives one. From then on what the process says goes to its log.
func (a *app) presentSelf(ctx context.Context) (token string, err error) {
	signal.Ignore(syscall.SIGHUP)
	if err := write(a.stdout, "%s", present); err != nil {
		return "", err
	}
	given := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			line = ""
		}
		given <- strings.TrimSpace(line)
	}()
	select {
	case token = <-given:
	case <-ctx.Done():
	}
	if token == "" {
		return "", nil
	}
	dir, err := a.openStateDir()
	if err != nil {
		return "", err
	}
	defer dir.Close()
	log, err := dir.OpenFile(awaitLog, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return "", fmt.Errorf("opening its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	if err := write(a.stdout, "%s", awaits); err != nil {
		return "", err
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return "", fmt.Errorf("writing to its log: %w", err)
		}
	}
	return token, nil
}
