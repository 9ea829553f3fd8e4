package operate

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs/inforce"
	"ftpvip/configs/statedir"
	"ftpvip/rules/change"
)

// What the process that waits for a confirmation says: first that it is there, then that it waits. Between the two it is
// given the token of what it waits for, or ends with its standard input.
const (
	present = "ready to wait\n"
	awaits  = "awaiting the confirmation\n"
)

// AwaitLog is the file in the state directory that has what that process logged.
const AwaitLog = "confirm.log"

// awaitStart is how long that process may take to start.
const awaitStart = 10 * time.Second

// process is the Waiter of a host, as who started it has it. It outlives us and the session of the admin, who may well
// have cut himself off: it has a session of its own, and under systemd a scope of its own, for logind may kill all that is
// in the admin's (KillUserProcesses= of logind.conf(5)).
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *os.File
	said *bufio.Reader
	told bool // that it has to wait, also when we are gone
}

// StartWaiter starts the Waiter of an apply. Only root gets a scope from systemd, so it is called before Source.Enter makes
// us the owner of the state directory, as the process then does itself.
func (o *Operator) StartWaiter(after time.Duration) error {
	var errs []error
	for _, words := range awaitCommands() {
		p, err := start(append(words, o.awaitArgs(after)...))
		if err == nil {
			o.Waiter = p
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("starting the process that waits for the confirmation: %w", errors.Join(errs...))
}

// awaitCommands lists the ways to start ourselves, the best first.
func awaitCommands() [][]string {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	plain := []string{self}
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, fs.ErrNotExist) { // sd_booted(3)
		return [][]string{plain}
	}
	unit := "ftpvip-confirm-" + strings.ToLower(rand.Text())
	return [][]string{{"systemd-run", "--quiet", "--no-ask-password", "--scope", "--collect", "--unit=" + unit, "--", self}, plain}
}

func (o *Operator) awaitArgs(after time.Duration) []string {
	return []string{
		"--config", o.Source.Path, "--state-dir", o.StateDir, "--log-level", o.LogLevel, "await-confirm", "--after", after.String(),
	}
}

// start starts a program in a session of its own, and waits until it says that it is there.
func start(words []string) (*process, error) {
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
	p := &process{cmd: cmd, in: in, out: out, said: bufio.NewReader(out)}
	_ = into.Close() // so that we see the end of what the process says
	if err := p.hear(present); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", words[0], err), p.End())
	}
	return p, nil
}

// hear wants the process to say a line.
func (p *process) hear(want string) error {
	if err := p.out.SetReadDeadline(time.Now().Add(awaitStart)); err != nil {
		return err
	}
	line, err := p.said.ReadString('\n')
	if line == want {
		return nil
	}
	rest, _ := io.ReadAll(io.LimitReader(p.said, 4096)) // what it says before it ends
	if line += string(rest); line != "" {
		return errors.New("it says: " + strings.TrimSpace(line))
	}
	return fmt.Errorf("it ended, or was silent for %s: %w", awaitStart, err)
}

// Await implements Waiter.
func (p *process) Await(token string) error {
	p.told = true
	if _, err := io.WriteString(p.in, token+"\n"); err != nil {
		return err
	}
	return p.hear(awaits)
}

// Leave implements Waiter.
func (p *process) Leave() error {
	if !p.told {
		return p.End()
	}
	return errors.Join(p.in.Close(), p.out.Close())
}

// End implements Waiter.
func (p *process) End() error {
	p.told = false
	_ = p.in.Close()
	_ = p.out.Close()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the process that waits for the confirmation: %w", err)
	}
	_ = p.cmd.Wait() // it was killed
	return nil
}

// waiting is the step that makes the process wait that will roll back.
func (o *Operator) waiting(p *inforce.Pending) change.Step {
	return change.Step{
		Name: "starting the process that waits for the confirmation",
		Do:   func() error { return o.Waiter.Await(p.Token) },
		Undo: func() error { return o.Waiter.End() },
	}
}

// AwaitConfirm is the work of the waiting process: it rolls an apply back after some time unless it is confirmed.
func (o *Operator) AwaitConfirm(ctx context.Context, stdout io.Writer, after time.Duration) error {
	token, err := o.presentSelf(ctx, stdout)
	if err != nil || token == "" {
		return err
	}
	return o.awaitUntil(ctx, token, o.Clock.After(after))
}

// presentSelf is the other end: it says that the process is there, waits for the token, and returns it, or "" when nobody
// gives one. From then on what the process says goes to its log.
func (o *Operator) presentSelf(ctx context.Context, stdout io.Writer) (token string, err error) {
	signal.Ignore(syscall.SIGHUP)
	if err := report.Write(stdout, "%s", present); err != nil {
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
	dir, err := statedir.Make(o.StateDir)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	log, err := dir.OpenFile(AwaitLog, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return "", fmt.Errorf("opening its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	if err := report.Write(stdout, "%s", awaits); err != nil {
		return "", err
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return "", fmt.Errorf("writing to its log: %w", err)
		}
	}
	return token, nil
}
