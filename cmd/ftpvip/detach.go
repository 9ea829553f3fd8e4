package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ftpvip/configs/inforce"
	"ftpvip/rules/change"
)

// awaits is what the process that waits for a confirmation says when it does.
const awaits = "awaiting the confirmation\n"

// awaitLog is the file in the state directory that has what that process logged.
const awaitLog = "confirm.log"

// awaitStart is how long that process may take to start.
const awaitStart = 10 * time.Second

// waiting is the step that starts the process that rolls back. It outlives this one and the session of the admin, who
// may well have cut himself off: it has a session of its own, and under systemd a scope of its own, for logind may kill
// all that is in the admin's (KillUserProcesses= of logind.conf(5)).
func (a *app) waiting(p *inforce.Pending, after time.Duration) change.Step {
	var started *os.Process
	return change.Step{
		Name: "starting the process that waits for the confirmation",
		Do: func() error {
			var errs []error
			for _, words := range awaitCommands(p.Token) {
				var err error
				if started, err = a.detach(append(words, a.awaitArgs(p, after)...)); err == nil {
					return nil
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
		Undo: func() error {
			if started == nil {
				return nil
			}
			if err := started.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("ending the process that waits for the confirmation: %w", err)
			}
			return nil
		},
	}
}

// awaitCommands lists the ways to start ourselves, the best first.
func awaitCommands(token string) [][]string {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe"
	}
	plain := []string{self}
	if !exists("/run/systemd/system") { // sd_booted(3)
		return [][]string{plain}
	}
	unit := "ftpvip-confirm-" + strings.ToLower(token)
	return [][]string{{"systemd-run", "--quiet", "--scope", "--collect", "--unit=" + unit, "--", self}, plain}
}

func (a *app) awaitArgs(p *inforce.Pending, after time.Duration) []string {
	return []string{
		"--config", a.v.GetString("config"), "--state-dir", a.v.GetString("state-dir"), "--log-level", a.v.GetString("log-level"),
		"await-confirm", "--token", p.Token, "--after", after.String(),
	}
}

// detach starts a program in a session of its own and waits until it says that it waits.
func (a *app) detach(words []string) (*os.Process, error) {
	log, err := os.OpenFile(filepath.Join(a.v.GetString("state-dir"), awaitLog), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640) // #nosec G302 -- as the state
	if err != nil {
		return nil, fmt.Errorf("opening its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = in, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", words[0], err)
	}
	if err := out.SetReadDeadline(time.Now().Add(awaitStart)); err != nil {
		return cmd.Process, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != awaits {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("starting %s: it ended, or was silent for %s; see %s", words[0], awaitStart, log.Name())
	}
	return cmd.Process, nil
}
