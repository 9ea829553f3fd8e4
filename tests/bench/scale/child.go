package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What this program is when it is a process of a lab's host: its first argument.
const (
	childUsage = "usage" // runs the rest of the command line, prints what it took: usage
	childSink  = "sink"  // accepts connections at an address and closes them
	childChurn = "churn" // opens connections to an address for a time, prints how many a second
)

// usage is what a command took.
type usage struct {
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu"` // seconds, of user and system
	PeakKB   int64   `json:"peak_kb"`
	ExitCode int     `json:"exit_code"`
	Stdout   string  `json:"stdout"`
	Stderr   string  `json:"stderr"`
}

// child is such a process, if the arguments say so.
func child(args []string, stdout io.Writer) (isChild bool, err error) {
	if len(args) < 2 {
		return false, nil
	}
	switch args[0] {
	case childUsage:
		return true, takeUsage(args[1:], stdout)
	case childSink:
		return true, sink(args[1], stdout)
	case childRaw:
		return true, raw(args[1], stdout)
	case childMove:
		return true, move(args[1], stdout)
	case childChurn:
		if len(args) != 3 {
			return true, errors.New("an address and a time are expected")
		}
		span, err := time.ParseDuration(args[2])
		if err != nil {
			return true, err
		}
		return true, churn(args[1], span, stdout)
	}
	return false, nil
}

// takeUsage runs a command from a process that is small itself: the kernel counts the memory of who forked as the
// child's own until it has executed the new program (setmax_mm_hiwater_rss in fs/exec.c).
func takeUsage(args []string, stdout io.Writer) error {
	var out, errOut limitedBuffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	start := time.Now()
	err := cmd.Run()
	u := usage{Seconds: time.Since(start).Seconds(), Stdout: out.String(), Stderr: errOut.String()}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	u.ExitCode = cmd.ProcessState.ExitCode()
	u.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.PeakKB = ru.Maxrss
	}
	return json.NewEncoder(stdout).Encode(u)
}

// limitedBuffer keeps the end of what is written.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	const most = 64 << 10
	l.b = append(l.b, p[max(0, len(p)-most):]...)
	l.b = l.b[max(0, len(l.b)-most):]
	return len(p), nil
}

func (l *limitedBuffer) String() string { return string(l.b) }

// sink accepts and closes until it is killed.
func sink(address string, stdout io.Writer) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, "up"); err != nil {
		return err
	}
	for range 4 {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(exitTrouble)
				}
				_ = c.Close()
			}
		}()
	}
	select {}
}

// churners is how many connections are being opened at any time.
const churners = 16

// churn opens connections, waits for their end, and resets them so that no port has to rest.
func churn(address string, span time.Duration, stdout io.Writer) error {
	var (
		count atomic.Int64
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	end := time.Now().Add(span)
	for range churners {
		wait.Go(func() {
			b := make([]byte, 1)
			for time.Now().Before(end) {
				c, err := net.DialTimeout("tcp", address, 10*time.Second)
				if err == nil {
					err = c.(*net.TCPConn).SetLinger(0)
				}
				if err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
					return
				}
				_, _ = c.Read(b) // until the other end closes
				_ = c.Close()
				count.Add(1)
			}
		})
	}
	wait.Wait()
	if first != nil {
		return first
	}
	_, err := fmt.Fprintln(stdout, strconv.FormatFloat(float64(count.Load())/span.Seconds(), 'f', 0, 64))
	return err
}
