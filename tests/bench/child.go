package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"ftpvip/tests/lab"
)

// What this program is when it is a process of a lab's host: its first argument, and one more follows.
const (
	childRespond = "respond" // a responder at an address
	childAccept  = "accept"  // the reader of a queue, which accepts everything
	childAttack  = "attack"  // a hostile client
	childYield   = "yield"   // a responder that leaves the processors to others
)

// startChild starts this program in a namespace and waits until it is up.
func startChild(ctx context.Context, n *lab.Namespace, words ...string) error {
	_, err := childOf(ctx, n, words...)
	return err
}

// childOf is startChild for who ends the process before the lab's end.
func childOf(ctx context.Context, n *lab.Namespace, words ...string) (*lab.Process, error) {
	up := make(chan struct{})
	process, err := n.Start(ctx, lab.Command{
		Args:   append([]string{"/proc/self/exe"}, words...),
		Stdout: writerFunc(sync.OnceFunc(func() { close(up) })),
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-up:
		return process, nil
	case <-process.Done():
	case <-time.After(patience):
	}
	return nil, fmt.Errorf("it does not start: %s", process.Kill())
}

// writerFunc is called whenever something is written.
type writerFunc func()

// Write implements io.Writer.
func (f writerFunc) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}

// child is such a process, if the arguments say so. It ends when it is killed, or with an error.
func child(args []string, stdout io.Writer) (isChild bool, err error) {
	if len(args) != 2 {
		return false, nil
	}
	up := func() { fmt.Fprintln(stdout, "up") }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	switch args[0] {
	case childRespond:
		return true, respond(args[1], up)
	case childAttack:
		return true, attack(args[1], up)
	case childYield:
		defer yield()()
		return true, respond(args[1], up)
	case childAccept:
		queue, err := strconv.ParseUint(args[1], 10, 16)
		return true, errors.Join(err, accept(uint16(queue), up))
	}
	return false, nil
}
