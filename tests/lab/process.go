package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program to run in a namespace.
type Command struct {
	Args   []string // Args[0] is looked up in PATH
	Env    []string // added to the environment
	Dir    string
	Stdin  io.Reader
	Stdout io.Writer // gets a copy of what the program writes; may be nil
	Stderr io.Writer
}

// Result is how a program ended.
type Result struct {
	Command string
	Stdout  string
	Stderr  string
	Code    int // exit status; 128 and the signal's number where one ended it
	Elapsed time.Duration
}

// String shows everything, for a failure report.
func (r Result) String() string {
	return fmt.Sprintf("$ %s\nexit %d after %v\n-- stdout\n%s-- stderr\n%s", r.Command, r.Code,
		r.Elapsed.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Process is a running program, leader of its own process group.
type Process struct {
	cmd     *exec.Cmd
	started time.Time
	stdout  *output
	stderr  *output
	done    chan struct{}
	result  Result
}

// Start starts a program in the namespace. The end of ctx kills its whole process group.
func (n *Namespace) Start(ctx context.Context, c Command) (*Process, error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	// The world's stage is for the program that entered it, not for what it starts.
	cmd.Env = append(os.Environ(), stageEnv+"=")
	cmd.Env = append(cmd.Env, c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	p := &Process{cmd: cmd, stdout: newOutput(c.Stdout), stderr: newOutput(c.Stderr), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.Cancel = p.killGroup
	n.log(fmt.Sprintf("ip netns exec %s %s", n.Name, strings.Join(c.Args, " ")))
	p.started = time.Now()
	if err := n.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s in %s: %w", c.Args[0], n.Name, err)
	}
	n.remember(p)
	go p.wait()
	return p, nil
}

// Run runs a program in the namespace to its end. A status other than 0 is no error, not starting or being killed
// by the end of ctx is one.
func (n *Namespace) Run(ctx context.Context, c Command) (Result, error) {
	p, err := n.Start(ctx, c)
	if err != nil {
		return Result{}, err
	}
	<-p.done
	if ctx.Err() != nil {
		return p.result, fmt.Errorf("killed: %w\n%s", context.Cause(ctx), p.result)
	}
	return p.result, nil
}

// remember keeps p for killAll, and forgets those that have ended.
func (n *Namespace) remember(p *Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = append(slices.DeleteFunc(n.running, func(p *Process) bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}), p)
}

// killAll ends what still runs.
func (n *Namespace) killAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.running {
		p.Kill()
	}
	n.running = nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.result = Result{
		Command: strings.Join(p.cmd.Args, " "),
		Stdout:  p.stdout.String(),
		Stderr:  p.stderr.String(),
		Elapsed: time.Since(p.started),
		Code:    -1,
	}
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		p.result.Code = exitCode(s)
	} else if err != nil {
		p.result.Stderr += err.Error() + "\n"
	}
	close(p.done)
}

func (p *Process) killGroup() error {
	err := unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Pid returns the process's number, which is also its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Process) Signal(s syscall.Signal) error { return unix.Kill(p.Pid(), s) }

// Kill ends the whole group with SIGKILL and waits until the process is gone.
func (p *Process) Kill() Result {
	_ = p.killGroup()
	<-p.done
	return p.result
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process.
func (p *Process) Wait(ctx context.Context) (Result, error) {
	select {
	case <-p.done:
		return p.result, nil
	case <-ctx.Done():
		return Result{}, fmt.Errorf("waiting for %s: %w", p.cmd.Args[0], context.Cause(ctx))
	}
}

// Stderr returns what the process has written to its standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Stdout returns what the process has written to its standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// output collects what a program writes.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	copy io.Writer
}

func newOutput(tee io.Writer) *output { return &output{copy: tee} }

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.copy != nil {
		_, _ = o.copy.Write(b)
	}
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
