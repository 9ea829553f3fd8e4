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

// Lines that the waiting process prints: present when it has started, awaits when it waits. In between it reads the token of
// the apply from its standard input, or exits at the end of the input.
const (
	present = "ready to wait\n"
	awaits  = "awaiting the confirmation\n"
)

// AwaitLog is the log file of the waiting process, in the state directory.
const AwaitLog = "confirm.log"

// awaitStart is the time that the process may take to start.
const awaitStart = 10 * time.Second

// process is the Waiter of a host, seen from its parent. It must survive us and the admin's session, because the new rules may
// have cut the admin off. So it has its own session and, under systemd, its own scope: logind may kill all processes in the
// admin's scope (KillUserProcesses= in logind.conf(5)).
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File
	said  *bufio.Reader
	armed bool // it waits for a confirmation, also after we have exited
}

// StartWaiter starts the Waiter of an apply. Only root can create a systemd scope, so call it before Source.Enter, which gives
// up root. The waiting process gives up root itself.
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
	_ = into.Close() // otherwise we would never read EOF
	if err := p.expectLine(present); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", words[0], err), p.End())
	}
	return p, nil
}

// expectLine waits until the process prints this line.
func (p *process) expectLine(want string) error {
	if err := p.out.SetReadDeadline(time.Now().Add(awaitStart)); err != nil {
		return err
	}
	line, err := p.said.ReadString('\n')
	if line == want {
		return nil
	}
	rest, _ := io.ReadAll(io.LimitReader(p.said, 4096)) // its error message
	if line += string(rest); line != "" {
		return errors.New("it says: " + strings.TrimSpace(line))
	}
	return fmt.Errorf("it ended, or was silent for %s: %w", awaitStart, err)
}

// Await implements Waiter.
func (p *process) Await(token string) error {
	p.armed = true
	if _, err := io.WriteString(p.in, token+"\n"); err != nil {
		return err
	}
	return p.expectLine(awaits)
}

// Leave implements Waiter.
func (p *process) Leave() error {
	if !p.armed {
		return p.End()
	}
	return errors.Join(p.in.Close(), p.out.Close())
}

// End implements Waiter.
func (p *process) End() error {
	p.armed = false
	_ = p.in.Close()
	_ = p.out.Close()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the process that waits for the confirmation: %w", err)
	}
	_ = p.cmd.Wait() // it was killed
	return nil
}

// waitStep is the step that tells the process to wait for the confirmation.
func (o *Operator) waitStep(p *inforce.Pending) change.Step {
	return change.Step{
		Name: "starting the process that waits for the confirmation",
		Do:   func() error { return o.Waiter.Await(p.Token) },
		Undo: func() error { return o.Waiter.End() },
	}
}

// AwaitConfirm is what the waiting process runs: it rolls an apply back after some time unless it is confirmed.
func (o *Operator) AwaitConfirm(ctx context.Context, stdout io.Writer, after time.Duration) error {
	token, err := o.readToken(ctx, stdout)
	if err != nil || token == "" {
		return err
	}
	return o.awaitUntil(ctx, token, o.Clock.After(after))
}

// readToken runs in the waiting process: it prints that it has started, and reads the token; "" if there is none. From then on
// the output of the process goes to its log.
func (o *Operator) readToken(ctx context.Context, stdout io.Writer) (token string, err error) {
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
