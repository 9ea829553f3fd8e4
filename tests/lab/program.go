package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// binEnv names the ftpvip binary.
const binEnv = "FTPVIP_BIN"

// FindProgram returns the path of the ftpvip binary: $FTPVIP_BIN, else the file ftpvip beside this program.
func FindProgram() (string, error) {
	path := os.Getenv(binEnv)
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "ftpvip")
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("looking for ftpvip (%s names it, else it is beside this program): %w", binEnv, err)
	}
	return filepath.Abs(path)
}

// Program is ftpvip, the real one, on the balancer.
type Program struct {
	Path   string   // of the binary
	Config string   // path of its configuration
	State  string   // its --state-dir
	Log    string   // the helper's --log-level; "": the default
	As     []string // a command that runs others as somebody else, such as setpriv with its options; nil: root

	lab *Lab
}

// Program prepares to run the ftpvip binary at path with a configuration.
func (l *Lab) Program(path, config string) (*Program, error) {
	p := &Program{
		Path: path, Config: filepath.Join(l.Dir, "ftpvip.yaml"), State: filepath.Join(l.Dir, "state"), lab: l,
	}
	return p, errors.Join(p.Configure(config), os.MkdirAll(p.State, 0o755))
}

// Configure writes the configuration; it tells ftpvip nothing.
func (p *Program) Configure(config string) error {
	return os.WriteFile(p.Config, []byte(config), 0o644)
}

// args is the command line of a verb.
func (p *Program) args(words ...string) []string {
	line := append(slices.Clone(p.As), p.Path, "--config", p.Config, "--state-dir", p.State)
	return append(line, words...)
}

// Args is the command line of a verb, for programs that run it.
func (p *Program) Args(words ...string) []string { return p.args(words...) }

// Start starts a verb.
func (p *Program) Start(ctx context.Context, words ...string) (*Process, error) {
	return p.lab.Balancer.Start(ctx, Command{Args: p.args(words...), Env: []string{"NO_COLOR=1"}})
}

// Run runs one verb to its end. A status other than 0 is no error.
func (p *Program) Run(ctx context.Context, words ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return p.lab.Balancer.Run(ctx, Command{Args: p.args(words...), Env: []string{"NO_COLOR=1"}})
}

// Do is Run for a verb that has to end with status 0.
func (p *Program) Do(ctx context.Context, words ...string) (Result, error) {
	r, err := p.Run(ctx, words...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("ftpvip %s failed: %s", strings.Join(words, " "), r)
	}
	return r, err
}

// Helper is a running `ftpvip helper`.
type Helper struct {
	*Process
}

// StartHelper starts the helper and waits until it tells systemd that it is READY. Its log is copied to w, which
// may be nil.
func (p *Program) StartHelper(ctx context.Context, w io.Writer) (*Helper, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "notify") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "s")})
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	if len(p.As) > 0 { // who may not be root
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, "s"), 0o777)); err != nil {
			return nil, err
		}
	}
	words := []string{"helper"}
	if p.Log != "" {
		words = []string{"--log-level", p.Log, "helper"}
	}
	process, err := p.lab.Balancer.Start(p.lab.ctx, Command{
		Args:   p.args(words...),
		Env:    []string{"NOTIFY_SOCKET=" + socket.LocalAddr().String(), "NO_COLOR=1"},
		Stderr: w,
	})
	if err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go func() { ready <- waitReady(socket) }()
	select {
	case err = <-ready:
	case <-process.Done():
		err = errors.New("it ended at once")
	case <-ctx.Done():
		err = fmt.Errorf("it does not get ready: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("starting the helper: %w\n%s", err, process.Kill())
	}
	return &Helper{process}, nil
}

// waitReady reads notifications (sd_notify(3)) until one has a line READY=1.
func waitReady(socket *net.UnixConn) error {
	b := make([]byte, 4096)
	for {
		n, err := socket.Read(b)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(b[:n]) {
			if string(bytes.TrimSpace(line)) == "READY=1" {
				return nil
			}
		}
	}
}

// Stop asks the helper to end, as systemd would.
func (h *Helper) Stop(ctx context.Context) (Result, error) {
	if err := h.Signal(unix.SIGTERM); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return h.Wait(ctx)
}
