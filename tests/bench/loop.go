package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// loop waits for sockets with epoll(7), level-triggered, and calls their handlers, all on one thread. With it a round
// trip costs each end three system calls, so that what is measured is the way between the ends.
type loop struct {
	epoll    int
	handlers []handler // by file descriptor
	events   [256]unix.EpollEvent
}

// handler is told that its socket can be read, written (where it asked for that), or has failed.
type handler interface{ ready() }

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	return &loop{epoll: fd}, nil
}

// add has h called when any of events happens to fd.
func (l *loop) add(fd int, events uint32, h handler) error {
	for len(l.handlers) <= fd {
		l.handlers = append(l.handlers, nil)
	}
	l.handlers[fd] = h
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// change replaces the events that fd's handler is called for.
func (l *loop) change(fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// drop closes fd; its handler is not called again.
func (l *loop) drop(fd int) {
	l.handlers[fd] = nil
	_ = unix.Close(fd) // which also takes it out of the epoll instance
}

// turn waits for at most timeout and calls the handlers of what is ready.
func (l *loop) turn(timeout time.Duration) error {
	n, err := unix.EpollWait(l.epoll, l.events[:], int(timeout.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for sockets: %w", err)
	}
	for i := range max(n, 0) {
		// A handler called earlier in this turn may have closed this one's socket.
		if h := l.handlers[l.events[i].Fd]; h != nil {
			h.ready()
		}
	}
	return nil
}

// close closes every socket of the loop.
func (l *loop) close() {
	for fd, h := range l.handlers {
		if h != nil {
			l.drop(fd)
		}
	}
	_ = unix.Close(l.epoll)
}
