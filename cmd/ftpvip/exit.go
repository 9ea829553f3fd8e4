package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"ftpvip/cmd/ftpvip/operate"
	"ftpvip/configs"
)

// Exit codes, see DESIGN. Those of 64 and more are from sysexits.h.
const (
	exitOK         = 0
	exitFailure    = 1
	exitTrouble    = 2 // of diff
	exitUsage      = 64
	exitPermission = 77
	exitConfig     = 78
)

// exitError carries an exit code. Its error may be nil if the command has printed everything.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode prints the error of a command, and returns its exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		// cobra's own errors: unknown commands, flags and arguments
		_, _ = fmt.Fprintf(stderr, "ftpvip: %v\nRun 'ftpvip --help' for usage.\n", err)
		return exitUsage
	}
	if exit.err != nil {
		_, _ = fmt.Fprintf(stderr, "ftpvip: %v\n", exit.err)
	}
	return exit.code
}

// fail gives an error its exit code; other is the default.
func fail(err error, other int) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	_, usage := errors.AsType[operate.UsageError](err)
	_, bad := errors.AsType[*configs.Error](err)
	switch {
	case usage:
		return &exitError{exitUsage, err}
	case bad && !errors.Is(err, fs.ErrPermission):
		return &exitError{exitConfig, err}
	case bad:
		return &exitError{exitPermission, err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, fs.ErrPermission):
		need := "ftpvip needs root, or CAP_NET_ADMIN and a writable state directory"
		if os.Geteuid() == 0 {
			need = "root is not enough here: a container or a user namespace lacks CAP_NET_ADMIN, or a security module forbids it"
		}
		return &exitError{exitPermission, fmt.Errorf("%w\n%s", err, need)}
	case errors.Is(err, operate.ErrHidden):
		return &exitError{exitPermission, err}
	}
	return &exitError{other, err}
}
